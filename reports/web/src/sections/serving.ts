// How production serves: the classes of a workload apart, prefix cache and its tiers, drafted tokens, and pools of replicas.
import { colour, figure, nameAxis, valueAxis } from "../chart";
import { el, type Child } from "../dom";
import { leaf } from "../json";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { scrolling, table } from "../table";
import { format } from "../units";
import { capital, metricHelp, metricName, plain } from "../words";
import { block } from "./other";

const kClassStatistics = ["p50", "p99"];

function classChart(v: Values, metric: string): Child {
  const classes = v.doc.children("/classes").filter((path) => v.doc.has(`${path}/latency/${metric}`));
  if (classes.length === 0) return undefined;
  return figure({
    id: `classes-${metric}`, title: `${metricName(metric)} by class: ${metricHelp(metric) ?? ""}`, height: 60 + classes.length * 44,
    caption: "Classes share the same batches: long prompts of one make the others wait.",
    option: {
      grid: { left: 8, right: 24, top: 8, bottom: 22, containLabel: true },
      tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "s") },
      xAxis: valueAxis("", "s", { min: 0 }), yAxis: nameAxis(classes.map((path) => v.doc.text(`${path}/name`) ?? ""), { inverse: true }),
      series: kClassStatistics.map((key, i) => ({ type: "bar" as const, name: key, itemStyle: { color: colour(i) }, data: classes.map((path) => v.point(`${path}/latency/${metric}/${key}`)) })),
    },
    table: () => table(metricName(metric), [{ name: "class" }, ...["mean", "p50", "p90", "p95", "p99", "max"].map((name) => ({ name, number: true }))],
      classes.map((path) => [v.text(`${path}/name`), ...["mean", "p50", "p90", "p95", "p99", "max"].map((key) => v.num(`${path}/latency/${metric}/${key}`, "s"))])),
  });
}

export function classesSection(v: Values): Section | undefined {
  const classes = v.doc.children("/classes");
  if (classes.length === 0) return undefined;
  const counts = scrolling("Classes", table("Requests of each class over the whole run",
    [{ name: "class" }, ...["arrived", "completed", "rejected", "preempted", "mean prompt", "mean output"].map((name) => ({ name, number: true }))],
    classes.map((path) => [v.text(`${path}/name`), ...["arrived", "completed", "rejected", "preempted"].map((key) => v.num(`${path}/${key}`, "count")),
      ...["mean_prompt_tokens", "mean_output_tokens"].map((key) => v.num(`${path}/${key}`, "tokens"))])));
  return sectionOf("classes", "Classes: what does each kind of request see?", el("div", { class: "figures" }, ["ttft_s", "tpot_s"].map((metric) => classChart(v, metric))), counts);
}

function prefixCache(v: Values): Child[] {
  if (!v.doc.has("/prefix_cache")) return [];
  return [el("h3", {}, "Prefix cache"),
    el("p", {}, v.num("/prefix_cache/hit_rate", "share"), " of the prompt tokens were found in the cache and not computed again."), ...block(v, "/prefix_cache", "Prefix cache"),
    ...(v.doc.has("/kv_tiers") ? block(v, "/kv_tiers", "KV tiers") : [])];
}

function speculation(v: Values): Child[] {
  const positions = v.doc.children("/speculation/accepted_by_position");
  if (positions.length === 0) return [];
  return [figure({
    id: "accepted", title: "Drafts accepted up to each position", height: 200,
    caption: ["A step makes ", v.num("/speculation/tokens_per_step", "plain"), " tokens of a sequence on average. Every rejected draft was computed for nothing, and touched experts for nothing."],
    option: {
      grid: { left: 8, right: 12, top: 18, bottom: 22, containLabel: true }, tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "share") },
      xAxis: nameAxis(positions.map((_, i) => String(i + 1)), { name: "position", nameLocation: "middle", nameGap: 24 }), yAxis: valueAxis("", "share", { min: 0, max: 1 }),
      series: [{ type: "bar" as const, name: "accepted", barWidth: "45%", itemStyle: { color: colour(0) }, data: positions.map((path) => v.point(path)) }],
    },
    table: () => table("Accepted up to a position", [{ name: "position" }, { name: "share of drafts", number: true }], positions.map((path, i) => [String(i + 1), v.num(path, "share")])),
  }), ...block(v, "/speculation", "Drafted tokens")];
}

function pools(v: Values): Child[] {
  const kinds = ["prefill", "decode"].filter((kind) => v.doc.has(`/pools/${kind}`));
  if (kinds.length === 0) return [];
  const measures = ["gpu_busy", "kv_cache"];
  return [figure({
    id: "pools", title: "How busy the pools are", height: 190,
    caption: "A pool far below the other has GPUs to spare: move replicas, or give it smaller ones.",
    option: {
      grid: { left: 8, right: 24, top: 8, bottom: 22, containLabel: true }, tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "share") },
      xAxis: valueAxis("", "share", { min: 0, max: 1 }), yAxis: nameAxis(kinds, { inverse: true }),
      series: measures.map((key, i) => ({ type: "bar" as const, name: key === "gpu_busy" ? "time busy" : "KV cache full", itemStyle: { color: colour(i) }, data: kinds.map((kind) => v.point(`/pools/${kind}/${key}`)) })),
    },
    table: () => table("Pools", [{ name: "pool" }, ...measures.map((name) => ({ name: leaf(`/${name}`), number: true }))], kinds.map((kind) => [kind, ...measures.map((key) => v.num(`/pools/${kind}/${key}`, "share"))])),
  }), ...block(v, "/pools", "Pools")];
}

/** Replicas that come and go. */
function fleet(v: Values): Child[] {
  const { doc } = v;
  if (!doc.has("/fleet")) return [];
  const times = doc.children("/fleet/over_time");
  const lines = ["held", "serving"];
  const chart = times.length > 1 && figure({
    id: "fleet", title: "Replicas over the run", height: 240,
    caption: "Held replicas are paid for; between held and serving lie engines that start, load weights or finish their last requests.",
    option: {
      grid: { left: 8, right: 24, top: 12, bottom: 26, containLabel: true }, tooltip: { trigger: "item" },
      xAxis: valueAxis("simulated time", "s", { nameGap: 26, min: 0 }), yAxis: valueAxis("", "plain", { min: 0 }),
      series: lines.map((key, i) => ({ type: "line" as const, name: key, symbol: "none", lineStyle: { color: colour(i), width: 2 }, itemStyle: { color: colour(i) },
        data: times.map((path) => ({ value: [doc.number(`${path}/at_s`) ?? 0, doc.number(`${path}/${key}`) ?? 0], paths: [`${path}/at_s`, `${path}/${key}`] })) as never })),
    },
    table: () => table("Replicas", [{ name: "time" }, ...lines.map((name) => ({ name, number: true }))], times.map((path) => [v.num(`${path}/at_s`, "s"), ...lines.map((key) => v.num(`${path}/${key}`, "plain"))])),
  });
  const parts = doc.keys("/fleet").filter((key) => key !== "over_time");
  const scalars = parts.filter((key) => typeof doc.at(`/fleet/${key}`) !== "object");
  return [el("h3", {}, "Fleet"), chart, scrolling("Fleet", table("Fleet", [{ name: "quantity" }, { name: "value", number: true }], scalars.map((key) => [capital(plain(key)), v.any(`/fleet/${key}`)]))),
    ...parts.filter((key) => !scalars.includes(key) && doc.has(`/fleet/${key}`)).flatMap((key) => block(v, `/fleet/${key}`, capital(plain(key))))];
}

export function servingSection(v: Values): Section | undefined {
  const parts = [...fleet(v), ...pools(v), ...prefixCache(v), ...speculation(v)];
  return parts.length > 0 ? sectionOf("serving", "Serving features: what do they bring?", ...parts) : undefined;
}
