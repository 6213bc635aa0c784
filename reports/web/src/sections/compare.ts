// Several deployments side by side: verdict, table, curves, what differs between them and where they cross.
import { colour, figure, valueAxis } from "../chart";
import { el, type Child } from "../dom";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { scrolling, table } from "../table";
import { format, unitOfKey, type Unit } from "../units";
import { capital, plain, statisticName } from "../words";
import { block } from "./other";
import { unitOfMetric } from "./sensitivity";

const kRoot = "/comparison/scenarios";

const kRows: [string, string, Unit?][] = [
  ["model", "Model"], ["gpu", "GPU"], ["gpus", "GPUs", "count"], ["weights_bytes", "Weights"], ["engine", "Engine"], ["replicas", "Replicas", "count"], ["parameters/total", "Parameters", "parameters"], ["parameters/active", "Active parameters", "parameters"], ["weights_bytes_per_gpu", "Weights per GPU"],
  ["flops_per_token", "Compute per token", "flops"], ["batch1_ttft_s", "TTFT of a single request"], ["batch1_tpot_s", "TPOT of a single request"], ["offered_per_s", "Offered load", "requests_per_s"], ["ttft_p50_s", "TTFT p50"], ["ttft_p99_s", "TTFT p99"], ["tpot_p50_s", "TPOT p50"], ["tpot_p99_s", "TPOT p99"], ["objectives_met", "Objectives met"], ["output_tokens_per_s", "Output"],
  ["saturation_tokens_per_s", "Output at saturation"], ["capacity_per_s", "Capacity within the objectives", "requests_per_s"], ["usd_per_hour", "Cost of one deployment", "usd_per_h"], ["usd_per_million_output_tokens", "Cost per million output tokens, at this load"], ["usd_per_million_output_tokens_at_capacity", "Cost per million output tokens, at capacity"],
  ["joules_per_output_token", "Energy per output token, at this load"], ["joules_per_output_token_at_capacity", "Energy per output token, at capacity"], ["needed/deployments", "Deployments for the load", "count"], ["needed/usd_per_hour", "Cost of those", "usd_per_h"], ["needed/usd_per_million_output_tokens", "Cost of those per million output tokens"], ["quality", "Quality, as stated"], ["usd_per_million_output_tokens_per_quality", "Cost per million output tokens and point of quality"],
];

function names(v: Values): string[] {
  return v.doc.children(kRoot).map((path) => v.doc.text(`${path}/name`) ?? "");
}

/** The verdict: what it says first as the headline, the rest below. */
function verdict(v: Values): HTMLElement {
  const text = v.doc.text("/comparison/verdict/text") ?? "Side by side";
  const first = /^.{20,}?[:.;] /.exec(text)?.[0] ?? text;
  return el("div", { class: "verdict", "data-path": v.doc.has("/comparison/verdict/text") && "/comparison/verdict/text" },
    el("h2", { id: "decision-title", class: "headline" }, first), first.length < text.length && el("p", {}, text.slice(first.length)));
}

export function compareDecision(v: Values): HTMLElement {
  const flips = v.doc.children("/comparison/verdict/flips");
  const scenarios = v.doc.children(kRoot);
  const card = (path: string): HTMLElement => el("div", { class: "card" }, el("h3", {}, v.text(`${path}/name`)),
    el("p", { class: "big" }, v.num(`${path}/gpus`, "count"), " × ", v.text(`${path}/gpu`)),
    el("ul", { class: "plain-list" },
      v.doc.flag(`${path}/objectives_met`) !== undefined && el("li", {}, v.doc.flag(`${path}/objectives_met`) === true ? el("span", { class: "badge good" }, "meets its objectives") : el("span", { class: "badge bad" }, "misses its objectives")),
      v.doc.number(`${path}/usd_per_hour`) !== undefined && el("li", {}, v.num(`${path}/usd_per_hour`, "usd_per_h")),
      v.doc.number(`${path}/usd_per_million_output_tokens`) !== undefined && el("li", {}, v.num(`${path}/usd_per_million_output_tokens`, "usd"), " per million output tokens"),
      v.doc.number(`${path}/ttft_p99_s`) !== undefined && el("li", {}, "TTFT p99 ", v.num(`${path}/ttft_p99_s`), ", TPOT p99 ", v.num(`${path}/tpot_p99_s`)),
      v.doc.number(`${path}/saturation_tokens_per_s`) !== undefined && el("li", {}, "at most ", v.num(`${path}/saturation_tokens_per_s`))));
  return el("section", { id: "decision", "aria-labelledby": "decision-title" },
    verdict(v),
    el("div", { class: "cards" }, scenarios.map(card),
      flips.length > 0 && el("div", { class: "card" }, el("h3", {}, "What would turn the verdict"), el("ul", {}, flips.map((path) => el("li", {}, v.text(path)))))));
}

export function sideBySideSection(v: Values): Section | undefined {
  const scenarios = v.doc.children(kRoot);
  if (scenarios.length === 0) return undefined;
  const rows = kRows.filter(([key]) => scenarios.some((path) => { const value = v.doc.at(`${path}/${key}`); return value !== null && value !== undefined && value !== ""; }));
  return sectionOf("side-by-side", "Side by side", scrolling("Side by side", table("The same requests on each deployment", [{ name: "quantity" }, ...names(v).map((name) => ({ name, number: true }))],
    rows.map(([key, name, unit]) => [name, ...scenarios.map((path) => v.any(`${path}/${key}`, unit ?? unitOfKey(key)))]))));
}

function curveChart(v: Values, id: string, title: string, caption: string, key: string, unit: Unit, log: boolean): Child {
  const curves = v.doc.children("/comparison/load_curves");
  const pointsOf = (curve: string): string[] => v.doc.children(curve).filter((path) => v.doc.number(`${path}/${key}`) !== undefined);
  if (curves.every((curve) => pointsOf(curve).length === 0)) return undefined;
  const scenarioNames = names(v);
  return figure({
    id, title, height: 320, caption,
    option: {
      grid: { left: 26, right: 24, top: 14, bottom: 26, containLabel: true },
      tooltip: { formatter: (item: unknown) => {
        const { seriesName, value } = item as { seriesName: string; value: [number, number] };
        return `${seriesName}<br>${format(value[0], "requests_per_s")} offered<br><strong>${format(value[1], unit)}</strong>`;
      } },
      xAxis: valueAxis("offered load, requests/s", "plain", { type: "log", nameGap: 26 }), yAxis: valueAxis("", unit, log ? { type: "log" } : {}),
      series: curves.map((curve, i) => ({
        type: "line" as const, name: scenarioNames[i] ?? `${i}`, symbol: "circle", symbolSize: 7, lineStyle: { color: colour(i), width: 2 }, itemStyle: { color: colour(i) },
        data: pointsOf(curve).map((path) => ({ value: [v.doc.number(`${path}/offered_per_s`), v.doc.number(`${path}/${key}`)], paths: [`${path}/offered_per_s`, `${path}/${key}`] })) as never,
      })),
    },
    table: () => table(title, [{ name: "deployment" }, { name: "offered", number: true }, { name: "value", number: true }],
      curves.flatMap((curve, i) => pointsOf(curve).map((path) => [scenarioNames[i] ?? "", v.num(`${path}/offered_per_s`, "requests_per_s"), v.num(`${path}/${key}`, unit)]))),
  });
}

export function curvesSection(v: Values): Section | undefined {
  const parts = [
    curveChart(v, "compare-throughput", "Throughput against load", "Each line flattens where its deployment saturates.", "output_tokens_per_s", "tokens_per_s", false),
    curveChart(v, "compare-ttft", "TTFT p99 against load", "The line that stays low longest carries the load best; the scale is logarithmic.", "ttft_p99_s", "s", true),
    curveChart(v, "compare-tpot", "TPOT p99 against load", "Where two lines cross, the better deployment changes.", "tpot_p99_s", "s", true),
  ].filter((part) => part !== undefined);
  return sectionOf("curves", "Under rising load", parts.length > 0 && el("div", { class: "figures" }, parts));
}

function sweep(v: Values, path: string, index: number): Child {
  const { doc } = v;
  const metric = doc.text(`${path}/metric`) ?? "";
  const unit = unitOfMetric(metric);
  const parameter = plain(doc.text(`${path}/parameter`) ?? "");
  const xs = doc.children(`${path}/values`);
  const rows = doc.children(`${path}/by_scenario`);
  const scenarioNames = names(v);
  if (xs.length === 0 || rows.length === 0) return undefined;
  return figure({
    id: `sweep-${index}`, title: `${capital(statisticName(metric))} against ${parameter}`, height: 290, caption: `How the deployments answer to ${parameter}; where lines cross, the choice turns.`,
    option: {
      grid: { left: 26, right: 24, top: 14, bottom: 26, containLabel: true },
      tooltip: { formatter: (item: unknown) => { const { seriesName, value } = item as { seriesName: string; value: [number, number] }; return `${seriesName}<br>${parameter} ${format(value[0], "plain")}<br><strong>${format(value[1], unit)}</strong>`; } },
      xAxis: valueAxis(parameter, "plain", { type: xs.every((x) => (doc.number(x) ?? 0) > 0) && xs.length > 3 ? "log" : "value", nameGap: 26, scale: true }), yAxis: valueAxis("", unit),
      series: rows.map((row, i) => ({
        type: "line" as const, name: scenarioNames[i] ?? `${i}`, symbol: "circle", symbolSize: 7, lineStyle: { color: colour(i), width: 2 }, itemStyle: { color: colour(i) },
        data: xs.map((x, j) => ({ value: [doc.number(x) ?? null, doc.number(`${row}/${j}`) ?? null], paths: [x, `${row}/${j}`] })) as never,
      })),
    },
    table: () => table(`${statisticName(metric)} by ${parameter}`, [{ name: parameter, number: true }, ...scenarioNames.map((name) => ({ name, number: true }))],
      xs.map((x, j) => [v.num(x, "plain"), ...rows.map((row) => v.num(`${row}/${j}`, unit))])),
  });
}

export function compareSensitivitySection(v: Values): Section | undefined {
  const sweeps = v.doc.children("/comparison/sensitivity").map((path, i) => sweep(v, path, i)).filter((part) => part !== undefined);
  return sectionOf("compare-sensitivity", "If the load were different", sweeps.length > 0 && el("div", { class: "figures" }, sweeps));
}

export function crossingsSection(v: Values): Section | undefined {
  const crossings = v.doc.children("/comparison/crossings");
  return sectionOf("crossings", "Where the better choice changes", crossings.length > 0 && el("ul", {}, crossings.map((path) => el("li", {}, v.doc.has(`${path}/text`) ? v.text(`${path}/text`) : [v.text(`${path}/what`), " at ", v.any(`${path}/at`)]))));
}

/** What each changed input did to the result, where that could be told apart. */
export function effectsSection(v: Values): Section | undefined {
  const effects = v.doc.children("/comparison/effects");
  return sectionOf("effects", "What each difference does", effects.length > 0 && block(v, "/comparison/effects", "Effects"));
}

export function notesSection(v: Values): Section | undefined {
  const notes = v.doc.children("/comparison/notes");
  return sectionOf("notes", "To know", notes.length > 0 && el("ul", {}, notes.map((path) => el("li", {}, v.text(path)))));
}

export function differencesSection(v: Values): Section | undefined {
  const differences = v.doc.children("/comparison/differences");
  if (differences.length === 0) return undefined;
  const effect = differences.some((path) => v.doc.has(`${path}/effect`));
  return sectionOf("differences", "What differs between them", scrolling("Differences", table("Inputs that are not the same", [{ name: "input" }, ...names(v).map((name) => ({ name })), ...(effect ? [{ name: "effect" }] : [])],
    differences.map((path) => [v.text(`${path}/path`), ...names(v).map((_, i) => v.any(`${path}/values/${i}`)), ...(effect ? [v.any(`${path}/effect`)] : [])]))));
}
