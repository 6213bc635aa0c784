// Money and energy with every figure worked by hand.
#include <doctest/doctest.h>

#include "study/cost_account.hpp"
#include "study/cost_spec.hpp"
#include "study/cost_summary.hpp"
#include "study/price_list.hpp"
#include "support/cost_fixture.hpp"
#include "support/study_fixture.hpp"

using namespace moeplan;
using namespace moeplan::test;
using doctest::Approx;

namespace {

/// 1,000 W per GPU; eight of them in a node of at most 12 kW.
GpuSpec kilowatt_gpu() {
  GpuSpec gpu = round_gpu();
  gpu.tdp_watts = 1000;
  return gpu;
}

NodeSpec twelve_kilowatt_node() {
  NodeSpec node = round_node();
  node.max_watts = 12'000;
  return node;
}

ClusterCost account(const CostSpec& cost, const CostDemand& demand) {
  return cluster_cost(cost, kilowatt_gpu(), twelve_kilowatt_node(), demand);
}

CostSpec rented(double usd_per_gpu_hour) {
  CostSpec cost;
  cost.rental_usd_per_gpu_hour = usd_per_gpu_hour;
  cost.rental_source = "scenario";
  return cost;
}

CostSpec owned(double capex, double years, double interest, double resale) {
  CostSpec cost;
  cost.owned = OwnedCost{};
  cost.owned->capex_usd = capex;
  cost.owned->capex_source = "scenario";
  cost.owned->years = years;
  cost.owned->interest = interest;
  cost.owned->resale = resale;
  return cost;
}

double item(const ClusterCost& cost, const std::string& name) {
  double sum = 0;
  for (const CostItem& i : cost.items) sum += i.item == name ? i.usd_per_hour : 0;
  return sum;
}

ListPrice listed(const std::string& gpu, const std::string& kind, double value, const std::string& provider) {
  return {gpu, kind, "USD/h per GPU", value, provider, "2026-01-01", "here"};
}

}  // namespace

TEST_CASE("rented GPUs cost their price, spares included") {
  // (6 + 2) x 2.50
  const ClusterCost cost = account(rented(2.5), {6, 2, 0.5});
  CHECK(*cost.usd_per_hour == Approx(20));
  REQUIRE(cost.items.size() == 1);
  CHECK(cost.items[0].item == "rental");
  CHECK(cost.items[0].source == "scenario");
}

TEST_CASE("a scenario without a price costs nothing that could be said, but draws power") {
  const ClusterCost cost = account({}, {8, 0, 1});
  CHECK_FALSE(cost.usd_per_hour.has_value());
  CHECK(cost.items.empty());
  CHECK(cost.power.has_value());
}

TEST_CASE("capital without interest is price less resale over the hours") {
  // 87,660 USD less a half over 5 years of 8,766 h: 43,830 / 43,830 h = 1 USD/h per node
  CHECK(*account(owned(87'660, 5, 0, 0.5), {8, 0, 1}).usd_per_hour == Approx(1));
  CHECK(*account(owned(87'660, 5, 0, 0.5), {16, 0, 1}).usd_per_hour == Approx(2));
  // Nobody stated what electricity costs: the account says that it is not in.
  const ClusterCost unpowered = account(owned(87'660, 5, 0, 0.5), {8, 0, 1});
  REQUIRE(unpowered.items.size() == 2);
  CHECK(unpowered.items[1].item == "power");
  CHECK(unpowered.items[1].source.find("no power_price") != std::string::npos);
}

TEST_CASE("a node is bought whole though half of it is used, but for one that others use, too") {
  const CostSpec cost = owned(87'660, 5, 0, 0.5);  // 1 USD/h per node, as above
  const ClusterCost half = account(cost, {4, 0, 1});
  CHECK(*half.usd_per_hour == Approx(1));
  CHECK(half.gpus_paid == 8);
  // four busy at 1,500 W, four idle at 370 W (see below)
  CHECK(half.power->mean_w == Approx(4 * 1500 + 4 * 370));
  CHECK(*account(cost, {4, 5, 1}).usd_per_hour == Approx(2));
  CostDemand part{4, 0, 1};
  part.part_of_nodes = true;
  CHECK(*account(cost, part).usd_per_hour == Approx(0.5));
  // what is rented is rented by the GPU
  CHECK(*account(rented(2), {4, 0, 1}).usd_per_hour == Approx(8));
}

TEST_CASE("capital with interest is an annuity, the resale value discounted to today") {
  // 10 % over 2 years: 1 / 1.1 + 1 / 1.21 = 1.7355372 repayments. 100,000 / 1.7355372 = 57,619.048 a year.
  CHECK(*account(owned(100'000, 2, 0.1, 0), {8, 0, 1}).usd_per_hour == Approx(57'619.047619 / 8766));
  // 21 % resale: 21,000 / 1.21 = 17,355.372 today; (100,000 - 17,355.372) / 1.7355372 = 47,619.048
  CHECK(*account(owned(100'000, 2, 0.1, 0.21), {8, 0, 1}).usd_per_hour == Approx(47'619.047619 / 8766));
}

TEST_CASE("network is written off like the node, the rack is paid by the hour, staff is a share of all") {
  CostSpec cost = owned(87'660, 5, 0, 0.5);
  cost.owned->network_usd = 43'830;  // over 43,830 h: 1 USD/h, nothing left at the end
  cost.owned->rack_usd_per_hour = 0.5;
  cost.staff = 0.2;
  const ClusterCost out = account(cost, {8, 8, 1});
  CHECK(item(out, "capital") == Approx(2));
  CHECK(item(out, "network") == Approx(2));
  CHECK(item(out, "rack") == Approx(1));
  CHECK(item(out, "staff") == Approx(1));  // a fifth of 5
  CHECK(*out.usd_per_hour == Approx(6));
}

TEST_CASE("power lies between idle and load by how busy the GPUs are, and is paid with the site's overhead") {
  // A GPU: 120 W idle (12 % of 1,000 W), 1,000 W busy. The rest of the node: 12,000 - 8,000 = 4,000 W busy, 2,000 W idle; 500 and 250 per
  // GPU. Four in service and one spare: idle 5 x 370 = 1,850 W; load 4 x 1,500 + 370 = 6,370 W; half busy: 1,850 + 0.5 x 4 x 1,130 = 4,110
  // W.
  CostSpec cost = rented(1);
  cost.power.usd_per_kwh = 0.1;
  cost.power.pue = 1.5;
  const ClusterCost out = account(cost, {4, 1, 0.5});
  CHECK(out.power->idle_w == Approx(1850));
  CHECK(out.power->load_w == Approx(6370));
  CHECK(out.power->mean_w == Approx(4110));
  CHECK(item(out, "power") == Approx(4.110 * 1.5 * 0.1));
  CHECK(item(out, "rental") == Approx(5));
  CHECK(account(cost, {4, 1, 0}).power->mean_w == Approx(1850));
  CHECK(account(cost, {4, 1, 1}).power->mean_w == Approx(6370));
  CHECK(out.power->source.find("assumption: 12 % of TDP") != std::string::npos);
}

TEST_CASE("stated watts go before datasheets and assumptions") {
  CostSpec cost = rented(1);
  cost.power.gpu_idle_w = 100;
  cost.power.gpu_load_w = 600;
  cost.power.host_idle_w = 800;
  cost.power.host_load_w = 1600;
  const PowerDraw power = *account(cost, {8, 0, 1}).power;
  CHECK(power.idle_w == Approx(8 * 100 + 800));
  CHECK(power.load_w == Approx(8 * 600 + 1600));
  CHECK(power.source.find("assumption") == std::string::npos);
}

TEST_CASE("a GPU of unknown power leaves power out and says so where it should be paid") {
  GpuSpec gpu = round_gpu();
  CostSpec cost = rented(1);
  CHECK_FALSE(cluster_cost(cost, gpu, round_node(), {8, 0, 1}).power.has_value());
  cost.power.usd_per_kwh = 0.1;
  const ClusterCost out = cluster_cost(cost, gpu, round_node(), {8, 0, 1});
  CHECK(out.items.back().source.find("power.gpu_load") != std::string::npos);
  CHECK(*out.usd_per_hour == Approx(8));
}

TEST_CASE("cost never falls with more GPUs or busier ones") {
  CostSpec cost = owned(240'000, 4, 0.06, 0.2);
  cost.power.usd_per_kwh = 0.12;
  double last = 0;
  for (const CostDemand& demand :
       {CostDemand{8, 0, 0}, CostDemand{8, 0, 0.5}, CostDemand{8, 0, 1}, CostDemand{8, 4, 1}, CostDemand{16, 4, 1}}) {
    const double now = *account(cost, demand).usd_per_hour;
    CHECK(now > last);
    last = now;
  }
}

TEST_CASE("a served load is divided among its tokens, and energy among its outputs") {
  // 8 GPUs at 4.50: 36 USD/h = 0.01 USD/s. 1,000 input and 250 output tokens/s over 2 requests/s; a fifth of the time goes to prompts.
  ClusterSpec cluster{twelve_kilowatt_node(), kilowatt_gpu(), 1, 8};
  const CostSummary cost = *summarise_cost(rented(4.5), cluster, {8, 0, 1}, {2, 1000, 250, 0.2}, {});
  CHECK(cost.usd_per_hour == Approx(36));
  CHECK(*cost.usd_per_million_input_tokens == Approx(10));
  CHECK(*cost.usd_per_million_output_tokens == Approx(40));
  CHECK(*cost.usd_per_million_total_tokens == Approx(8));
  CHECK(*cost.usd_per_request == Approx(0.005));
  CHECK(*cost.split_usd_per_million_input_tokens == Approx(2));
  CHECK(*cost.split_usd_per_million_output_tokens == Approx(32));
  // 12,000 W x PUE 1.3 / 250 tokens/s
  CHECK(*cost.joules_per_output_token == Approx(62.4));
}

TEST_CASE("a hosted price gives its bill for the same load and the volume where both are even") {
  // Hosted: 1,000 x 1 + 250 x 4 USD per million tokens = 0.002 USD/s = 7.20 USD/h for 2 requests/s; own 36 USD/h is 5 times as much, so
  // both are even at 10 requests/s = 10 x 625 tokens x 86,400 s = 540 million tokens a day.
  ClusterSpec cluster{twelve_kilowatt_node(), kilowatt_gpu(), 1, 8};
  CostSpec spec = rented(4.5);
  spec.api = ApiPrice{1, 4, "a list"};
  ParameterCount moe;
  moe.experts = 100e9;
  moe.active_experts = 10e9;
  const ApiComparison api = *summarise_cost(spec, cluster, {8, 0, 1}, {2, 1000, 250, 0.2}, moe)->api;
  CHECK(api.usd_per_hour == Approx(7.2));
  CHECK(api.usd_per_request == Approx(0.001));
  CHECK(api.own_over_api == Approx(5));
  CHECK(api.break_even_requests_per_s == Approx(10));
  CHECK(api.break_even_tokens_per_day == Approx(540e6));
  CHECK(api.text.find("hosted is 5.0 times cheaper") != std::string::npos);
  // 4 USD over 100 billion in all, over 10 billion active
  CHECK(api.pricing_text.find("0.04 USD per million tokens and billion total") != std::string::npos);
  CHECK(api.pricing_text.find("0.4 per billion active") != std::string::npos);
}

TEST_CASE("a break-even volume beyond what the GPUs bear is said to be none") {
  // 2 requests/s for 36 USD/h of own GPUs or 7.20 hosted: even at 10 requests/s.
  const ApiPrice price{1, 4, "a list"};
  const ServedLoad load{2, 1000, 250, 0};
  const HostedBill unknown = hosted_bill(price, 36, load);
  CHECK_FALSE(unknown.break_even_served());
  CHECK(unknown.text.find("they are even at 10 requests/s (540.0 million tokens a day), if these GPUs carry as much") != std::string::npos);
  const HostedBill beyond = hosted_bill(price, 36, load, LargestLoad{9, false});
  CHECK(beyond.break_even_served() == false);
  CHECK(beyond.text.find("at no volume that these GPUs serve are they even: that takes 10 requests/s (540.0 million tokens a day), and these GPUs bear 9 at most") != std::string::npos);
  const HostedBill within = hosted_bill(price, 36, load, LargestLoad{11, false});
  CHECK(within.break_even_served() == true);
  CHECK(within.text.find("they are even at 10 requests/s (540.0 million tokens a day), of 11 that these GPUs bear") != std::string::npos);
  // At least 9: it may be more.
  const HostedBill perhaps = hosted_bill(price, 36, load, LargestLoad{9, true});
  CHECK_FALSE(perhaps.break_even_served());
  CHECK(perhaps.text.find("if these GPUs carry as much (at least 9)") != std::string::npos);
  // What is served is borne.
  CHECK(*hosted_bill(price, 36, load, LargestLoad{1.5, false}).largest_requests_per_s == 2);
}

TEST_CASE("an amount of less than a few cents keeps two digits") {
  CHECK(usd_text(0) == "0.00");
  CHECK(usd_text(0.000412) == "0.00041");
  CHECK(usd_text(0.0949) == "0.095");
  CHECK(usd_text(0.77) == "0.77");
  CHECK(usd_text(1234.5) == "1234.50");
}

TEST_CASE("a rental price is the median of its kind, or the provider's") {
  const std::vector<ListPrice> prices = {listed("g", "rental_on_demand", 3, "Cirrus"), listed("g", "rental_on_demand", 2, "Stratus AG"),
                                         listed("g", "rental_on_demand", 9, "Nimbus"), listed("g", "rental_spot", 1, "Nimbus"),
                                         listed("other", "rental_spot", 7, "Nimbus")};
  CHECK(find_rental(prices, "g", "", "", "w").value == 3);
  CHECK(find_rental(prices, "g", "spot", "", "w").value == 1);
  CHECK(find_rental(prices, "g", "rental_spot", "nimbus", "w").value == 1);
  CHECK(find_rental(prices, "g", "", "stratus", "w").value == 2);
  CHECK(complaint_of([&] { find_rental(prices, "h", "", "", "w"); }).find("listed: g, other") != std::string::npos);
  CHECK(complaint_of([&] { find_rental(prices, "other", "", "", "w"); }).find("listed: rental_spot") != std::string::npos);
}

TEST_CASE("another GPU's price is found by the same choice; a single stated price stays") {
  GpuSpec gpu = round_gpu();
  NodeSpec node = round_node();
  gpu.id = "b200-sxm";
  CostSpec chosen;
  chosen.rental.from_list = true;
  chosen.rental.provider = "Lambda";
  CHECK(*cost_on(chosen, gpu, node, data(), "w").rental_usd_per_gpu_hour ==
        find_rental(load_prices(data()), "b200-sxm", "", "Lambda", "w").value);
  CHECK(*cost_on(rented(2.5), gpu, node, data(), "w").rental_usd_per_gpu_hour == 2.5);
  chosen.rental.stated["b200-sxm"] = 4;
  CHECK(*cost_on(chosen, gpu, node, data(), "w").rental_usd_per_gpu_hour == 4);
  CostSpec bought = owned(0, 4, 0, 0);
  bought.owned->capex_stated = {{"round-8", 300'000}};
  CHECK(cost_on(bought, gpu, node, data(), "w").owned->capex_usd == 300'000);
}
