// How unevenly the router loads experts and ranks, and what that costs.
import { colour, figure, nameAxis, valueAxis } from "../chart";
import { el, type Child } from "../dom";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { table } from "../table";
import { format } from "../units";

function heatMap(v: Values): Child {
  const { doc } = v;
  const rows = doc.children("/experts/load/by_layer");
  if (rows.length === 0) return undefined;
  const layers = rows.map((_, i) => String(doc.at(`/experts/load/layers/${i}`) ?? i));
  const most = Math.max(...rows.map((row) => doc.keys(row).length));
  const cells = rows.flatMap((row, y) => doc.children(row).map((path, x) => ({ value: [x, y, doc.number(path) ?? 0], paths: [null, null, path] })));
  const hottest = cells.reduce((high, cell) => Math.max(high, cell.value[2] ?? 0), 1);
  return figure({
    id: "expert-load", title: "Load of each expert by layer, as a multiple of the mean", height: 130 + rows.length * 16,
    caption: "Each row is a layer, each cell an expert: the darker, the more tokens it gets. Even rows mean that any placement will do; dark cells make hot ranks.",
    option: {
      grid: { left: 34, right: 20, top: 8, bottom: 74, containLabel: true },
      tooltip: { formatter: (item: unknown) => {
        const [x = 0, y = 0, load = 0] = (item as { value: number[] }).value;
        return `layer ${layers[y] ?? ""}, expert ${x}<br><strong>${format(load, "ratio")}</strong> the mean`;
      } },
      xAxis: { type: "category", data: Array.from({ length: most }, (_, i) => String(i)), name: "expert", nameLocation: "middle", nameGap: 24, axisLabel: { color: "var(--fg)" }, axisTick: { show: false }, nameTextStyle: { color: "var(--soft)" } },
      yAxis: { type: "category", data: layers, name: "layer", nameLocation: "middle", nameGap: 30, axisLabel: { color: "var(--fg)", fontSize: 11 }, nameTextStyle: { color: "var(--soft)" } },
      visualMap: { min: 0, max: hottest, calculable: false, orient: "horizontal", left: "center", bottom: 0, itemHeight: 160, itemWidth: 12, textStyle: { color: "var(--fg)" }, formatter: (value: unknown) => format(Number(value), "ratio"),
        inRange: { color: ["#f3f6fa", "#9ec5e8", "#2f6fb3", "#123a66"] }, text: [format(hottest, "ratio"), format(0, "ratio")], dimension: 2 },
      series: [{ type: "heatmap" as const, name: "load", data: cells as never, progressive: 0 }],
    },
    table: () => table("Load over mean load", [{ name: "layer" }, ...Array.from({ length: most }, (_, i) => ({ name: String(i), number: true }))],
      rows.map((row, i) => [doc.at(`/experts/load/layers/${i}`) !== undefined ? v.num(`/experts/load/layers/${i}`, "count") : String(i), ...doc.children(row).map((path) => v.num(path, "ratio"))])),
  });
}

function rankLoad(v: Values): Child {
  const paths = v.doc.children("/experts/placement/rank_load");
  if (paths.length < 2) return undefined;
  return figure({
    id: "rank-load", title: "Load of each expert rank, as a multiple of the mean", height: 240,
    caption: "All ranks wait for the tallest bar: what it rises above the mean is lost time on the others.",
    option: {
      grid: { left: 8, right: 20, top: 18, bottom: 26, containLabel: true }, tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "ratio") },
      xAxis: nameAxis(paths.map((_, i) => String(i)), { name: "rank", nameLocation: "middle", nameGap: 24, axisLabel: { color: "var(--fg)" } }), yAxis: valueAxis("", "ratio"),
      series: [{ type: "bar" as const, name: "load of the rank", itemStyle: { color: colour(0) }, data: paths.map((path) => v.point(path)) }],
    },
    table: () => table("Load over mean load", [{ name: "rank" }, { name: "load", number: true }], paths.map((path, i) => [String(i), v.num(path, "ratio")])),
  });
}

export function expertsSection(v: Values): Section | undefined {
  const { doc } = v;
  if (!doc.has("/experts")) return undefined;
  const facts = el("ul", { class: "plain-list" },
    doc.has("/experts/hottest_over_mean") && el("li", {}, "Hottest rank over the mean: ", v.num("/experts/hottest_over_mean/mean", "ratio"), " on average, ", v.num("/experts/hottest_over_mean/p50", "ratio"), " at p50, ", v.num("/experts/hottest_over_mean/p99", "ratio"), " at p99."),
    doc.has("/experts/imbalance_share") && el("li", {}, "Lost to imbalance: ", v.num("/experts/imbalance_share", "share"), " of the step time."),
    doc.has("/experts/distinct_experts_mean") && el("li", {}, "Distinct experts touched per layer and step: ", v.num("/experts/distinct_experts_mean", "plain"), "."),
    doc.has("/experts/dropped_token_share") && el("li", {}, "Tokens dropped by the capacity factor: ", v.num("/experts/dropped_token_share", "share"), "."),
    doc.has("/experts/routing") && el("li", {}, "Routing: ", v.text("/experts/routing"), "."),
    doc.has("/experts/placement/kind") && el("li", {}, "Placement: ", v.text("/experts/placement/kind"),
      doc.number("/experts/placement/redundant") !== undefined && [", redundant experts: ", v.num("/experts/placement/redundant", "count")], "."));
  return sectionOf("experts", "Experts: is the load even?", facts, heatMap(v), rankLoad(v));
}
