// Communication: its share of the steps, and the links that carry most.
import { colour, figure, nameAxis, valueAxis } from "../chart";
import { el, type Child } from "../dom";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { scrolling, table } from "../table";
import { format } from "../units";
import { operationName } from "../words";

function shares(v: Values): Child {
  const kinds = ["decode", "prefill"].filter((kind) => v.doc.has(`/network/${kind}_share_of_step`));
  const operations = [...new Set(kinds.flatMap((kind) => v.doc.keys(`/network/${kind}_share_of_step`)))]
    .filter((key) => kinds.some((kind) => (v.doc.number(`/network/${kind}_share_of_step/${key}`) ?? 0) > 0));
  if (operations.length === 0) return undefined;
  return scrolling("Communication", table("Communication as a share of the mean step", [{ name: "operation" }, ...kinds.map((name) => ({ name, number: true }))],
    operations.map((key) => [operationName(key), ...kinds.map((kind) => v.num(`/network/${kind}_share_of_step/${key}`, "share"))])));
}

function busiest(v: Values): Child {
  const links = v.doc.children("/network/links");
  if (links.length === 0) return undefined;
  const names = links.map((path) => v.doc.text(`${path}/name`) ?? "");
  const kinds = ["mean", "p99"].filter((key) => links.some((path) => v.doc.number(`${path}/utilisation_${key}`) !== undefined));
  return figure({
    id: "links", title: "Busiest links", height: 70 + links.length * 26,
    caption: "Share of each link's bandwidth in use. A link near its full rate slows every collective that crosses it.",
    option: {
      grid: { left: 8, right: 24, top: 14, bottom: 22, containLabel: true },
      tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "share") },
      xAxis: valueAxis("share of the link's bandwidth", "share", { min: 0, nameGap: 26 }), yAxis: nameAxis(names, { inverse: true }),
      series: kinds.map((key, i) => ({ type: "bar" as const, name: key, itemStyle: { color: colour(i) }, data: links.map((path) => v.point(`${path}/utilisation_${key}`)) })),
    },
    table: () => table("Links", [{ name: "link" }, { name: "kind" }, { name: "bandwidth", number: true }, { name: "mean", number: true }, { name: "p50", number: true }, { name: "p99", number: true }],
      links.map((path) => [v.text(`${path}/name`), v.text(`${path}/kind`), v.num(`${path}/capacity_bytes_per_s`), ...["mean", "p50", "p99"].map((key) => v.num(`${path}/utilisation_${key}`, "share"))])),
  });
}

export function networkSection(v: Values): Section | undefined {
  const { doc } = v;
  const facts = [
    doc.has("/network/exposed_communication_share") && el("li", {}, "Communication that nothing hides: ", v.num("/network/exposed_communication_share", "share"), " of the step time",
      doc.has("/network/exposed_communication_s/decode") && [", ", v.num("/network/exposed_communication_s/decode", "s"), " of a mean decode step"],
      doc.has("/network/exposed_communication_s/prefill") && [", ", v.num("/network/exposed_communication_s/prefill", "s"), " of a mean prefill step"], "."),
    doc.has("/network/pools/prefill") && el("li", {}, "Of the prefill pool's step time ", v.num("/network/pools/prefill/exposed_communication_share", "share"), ", of the decode pool's ",
      v.num("/network/pools/decode/exposed_communication_share", "share"), "."),
    doc.has("/network/hidden_communication_s/decode") && el("li", {}, "Hidden behind compute: ", v.num("/network/hidden_communication_s/decode", "s"), " of a mean decode step."),
    doc.number("/network/slowdown") !== undefined && el("li", {}, "Slow-down by shared links: ", v.num("/network/slowdown", "ratio"), "."),
  ].filter((fact) => fact !== false);
  return sectionOf("network", "Network: which links are busy?", facts.length > 0 && el("ul", { class: "plain-list" }, facts), shares(v), busiest(v));
}
