// Predicted against measured: the verdict on the model itself.
import { colour, figure, nameAxis, redraw, valueAxis } from "../chart";
import { el, type Child } from "../dom";
import { join } from "../json";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { scrolling, searchable, table } from "../table";
import { format, formatTick, type Unit } from "../units";
import { metricName, plain } from "../words";

export const kGroups: [string, string][] = [["by_kind", "kind"], ["by_gpu", "GPU"], ["by_model", "model"], ["by_engine", "engine"], ["by_mode", "load"], ["by_suite", "suite"], ["by_suite_kind", "suite and kind"]];
const kColumns: [string, string, Unit][] = [["count", "rows", "count"], ["median_ape", "median error", "share"], ["p90_ape", "p90 error", "share"], ["bias", "bias", "error"], ["within_10pct", "within a tenth", "share"], ["within_25pct", "within a quarter", "share"]];

export function unitOfRow(metric: string): Unit {
  return metric === "output_tok_s" ? "tokens_per_s" : "ms";
}

export function validateDecision(v: Values): HTMLElement {
  const metrics = v.doc.children("/metrics");
  const refused = v.doc.keys("/refused").length;
  return el("section", { id: "decision", "aria-labelledby": "decision-title" },
    el("div", { class: "verdict" }, el("h2", { id: "decision-title", class: "headline" },
      "How right are the predictions? ", v.num("/runs", "count"), " measured runs, ", v.num("/scored", "count"), " scored, ", v.count("/refused"), " refused.")),
    el("div", { class: "cards" }, metrics.map((path) => {
      const metric = path.slice(path.lastIndexOf("/") + 1);
      return el("div", { class: "card" }, el("h3", {}, metricName(metric)), el("p", { class: "big" }, v.num(`${path}/median_ape`, "share"), " median error"),
        el("p", {}, "nine of ten within ", v.num(`${path}/p90_ape`, "share"), "; bias ", v.num(`${path}/bias`, "error"), "; ", v.num(`${path}/within_25pct`, "share"), " within a quarter of the measured value; ", v.num(`${path}/count`, "count"), " rows"));
    }),
    v.doc.number("/coverage/share") !== undefined && el("div", { class: "card" }, el("h3", {}, "Intervals"), el("p", { class: "big" }, v.num("/coverage/share", "share"), " inside"),
      el("p", {}, "of the measured values lie within the stated ", v.num("/coverage/level", "share"), " interval."))),
    refused > 0 && el("p", {}, el("a", { href: "#refused" }, "Why runs were refused"), "."));
}

interface Row { path: string; metric: string; index: number }

function rowsOf(v: Values): Row[] {
  return v.doc.children("/rows").map((path, index) => ({ path, index, metric: v.doc.text(`${path}/metric`) ?? "" }));
}

const kSymbols = ["circle", "triangle", "rect", "diamond"];

/** Rows by the value of one of their keys, in order of size. */
function grouped(v: Values, rows: Row[], key: string): { name: string; rows: Row[] }[] {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const name = v.doc.text(`${row.path}/${key}`) ?? "all";
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [row]);
    else group.push(row);
  }
  return [...groups].map(([name, members]) => ({ name, rows: members })).sort((a, b) => b.rows.length - a.rows.length);
}

const kKeys: [string, string][] = [["gpu", "GPU"], ["model", "model"], ["engine", "engine"], ["kind", "dense or MoE"], ["suite", "suite"]];

interface Choice { metric: string; key: string }

function choices(v: Values, rows: Row[], name: string, changed: (choice: Choice) => void): { controls: HTMLElement; first: Choice } {
  const metrics = [...new Set(rows.map((row) => row.metric))];
  const keys = kKeys.filter(([key]) => rows.some((row) => v.doc.text(`${row.path}/${key}`) !== undefined));
  const select = (label: string, options: [string, string][]): { box: HTMLElement; list: HTMLSelectElement } => {
    const list = el("select", {}, options.map(([value, text]) => el("option", { value }, text)));
    return { box: el("label", {}, `${label} `, list), list };
  };
  const metric = select("Metric", metrics.map((one) => [one, metricName(one)]));
  const key = select("by", keys);
  const current = (): Choice => ({ metric: metric.list.value, key: key.list.value });
  for (const { list } of [metric, key]) list.addEventListener("change", () => changed(current()));
  return { controls: el("div", { class: "controls no-print", role: "group", "aria-label": name }, metric.box, keys.length > 0 && key.box), first: { metric: metrics[0] ?? "", key: keys[0]?.[0] ?? "" } };
}

function lineThrough(factor: number, low: number, high: number, name: string, type: "solid" | "dashed"): object {
  return { type: "line", name, unnamed: true, silent: true, symbol: "none", z: 1, lineStyle: { color: "var(--soft)", width: 1, type }, data: [[low, low * factor], [high, high * factor]], tooltip: { show: false } };
}

function scatterOption(v: Values, rows: Row[], { metric, key }: Choice): Parameters<typeof figure>[0]["option"] {
  const chosen = rows.filter((row) => row.metric === metric && (v.doc.number(`${row.path}/measured`) ?? 0) > 0 && (v.doc.number(`${row.path}/predicted`) ?? 0) > 0);
  const unit = unitOfRow(metric);
  const values = chosen.flatMap((row) => [v.doc.number(`${row.path}/measured`) ?? 1, v.doc.number(`${row.path}/predicted`) ?? 1]);
  const low = Math.min(...values);
  const high = Math.max(...values);
  const groups = grouped(v, chosen, key);
  return {
    grid: { left: 26, right: 24, top: 14, bottom: 26, containLabel: true },
    tooltip: { formatter: (item: unknown) => {
      const { data } = item as { data: { value?: [number, number]; row?: string } };
      if (data.row === undefined || data.value === undefined) return "";
      return `${v.doc.text(`${data.row}/id`) ?? ""}<br>measured <strong>${format(data.value[0], unit)}</strong><br>predicted <strong>${format(data.value[1], unit)}</strong><br>error ${format(v.doc.number(`${data.row}/error`) ?? 0, "error")}`;
    } },
    xAxis: valueAxis(`measured ${metricName(metric)}`, unit, { type: "log", min: low * 0.8, max: high * 1.25, nameGap: 28, axisLabel: { color: "var(--fg)", hideOverlap: true, showMinLabel: false, showMaxLabel: false, formatter: (value: number) => formatTick(value, unit) } }),
    yAxis: valueAxis(`predicted ${metricName(metric)}`, unit, { type: "log", min: low * 0.8, max: high * 1.25, nameGap: 70, axisLabel: { color: "var(--fg)", hideOverlap: true, showMinLabel: false, showMaxLabel: false, formatter: (value: number) => formatTick(value, unit) } }),
    series: [
      lineThrough(1, low, high, "exact", "solid"), lineThrough(1.25, low, high, "a quarter above", "dashed"), lineThrough(0.75, low, high, "a quarter below", "dashed"),
      ...groups.map((group, i) => ({
        type: "scatter" as const, name: group.name, symbol: kSymbols[Math.floor(i / 8) % kSymbols.length], symbolSize: 6, itemStyle: { color: colour(i), opacity: 0.65 },
        data: group.rows.map((row) => ({ value: [v.doc.number(`${row.path}/measured`), v.doc.number(`${row.path}/predicted`)], paths: [`${row.path}/measured`, `${row.path}/predicted`], row: row.path })),
      })),
    ] as never,
  };
}

/** Sets points of one group apart, evenly and always alike. */
function spread(index: number): number {
  return (((index * 0.618) % 1) - 0.5) * 0.7;
}

/** Signed errors, one band of points a group. */
function stripOption(v: Values, rows: Row[], { metric, key }: Choice): Parameters<typeof figure>[0]["option"] {
  const groups = grouped(v, rows.filter((row) => row.metric === metric), key).slice(0, 24);
  return {
    grid: { left: 8, right: 30, top: 10, bottom: 28, containLabel: true },
    tooltip: { formatter: (item: unknown) => {
      const { data } = item as { data: { value: [number, number]; row: string } };
      return `${v.doc.text(`${data.row}/id`) ?? ""}<br><strong>${format(data.value[0], "error")}</strong>`;
    } },
    xAxis: valueAxis("error: (predicted − measured) / measured", "error", { nameGap: 28 }), yAxis: valueAxis("", "plain", {
      min: -0.5, max: groups.length - 0.5, inverse: true, splitLine: { show: false }, axisTick: { show: false },
      axisLabel: { color: "var(--fg)", customValues: groups.map((_, y) => y), formatter: (value: number) => groups[value]?.name ?? "" },
    }),
    series: [{
      type: "scatter" as const, name: "error", symbolSize: 5, itemStyle: { color: "var(--c0)", opacity: 0.4 },
      data: groups.flatMap((group, y) => group.rows.map((row, i) => ({ value: [v.doc.number(`${row.path}/error`), y + spread(i)], paths: [`${row.path}/error`, null], row: row.path }))) as never,
      markLine: { silent: true, symbol: "none", lineStyle: { color: "var(--fg)", type: "solid" as const }, label: { show: false }, data: [{ xAxis: 0 }] },
    }],
  };
}

/** A chart that is drawn again when metric or grouping change. */
function switched(v: Values, rows: Row[], id: string, title: string, caption: Child, height: number, make: (v: Values, rows: Row[], choice: Choice) => Parameters<typeof figure>[0]["option"]): HTMLElement {
  const { controls, first } = choices(v, rows, title, (choice) => redraw(id, make(v, rows, choice)));
  return figure({ id, title, caption, height, controls, option: make(v, rows, first), table: () => rowTable(v, rows, "All rows") });
}


function rowTable(v: Values, rows: Row[], name: string): HTMLElement {
  const intervals = rows.some((row) => v.doc.has(`${row.path}/low`)) ? ["low", "high"] : [];
  const causes = rows.some((row) => v.doc.has(`${row.path}/likely_cause`)) ? ["likely_cause"] : [];
  const numbers = ["measured", "predicted", ...intervals];
  const columns = [{ name: "run" }, { name: "metric" }, ...[...numbers, "error"].map((key) => ({ name: key, number: true })), ...causes.map((key) => ({ name: plain(key) }))];
  return searchable(name, columns, rows.map(({ path, metric }) => ({
    cells: () => [v.text(`${path}/id`), v.text(`${path}/metric`), ...numbers.map((key) => v.num(`${path}/${key}`, unitOfRow(metric))), v.num(`${path}/error`, "error"), ...causes.map((key) => v.text(`${path}/${key}`))],
    keys: [v.doc.text(`${path}/id`) ?? "", metric, ...[...numbers, "error"].map((key) => v.doc.number(`${path}/${key}`) ?? 0), ...causes.map((key) => v.doc.text(`${path}/${key}`) ?? "")],
  })), "rows");
}

export function scatterSection(v: Values): Section | undefined {
  const rows = rowsOf(v);
  if (rows.length === 0) return undefined;
  return sectionOf("predicted", "Predicted against measured", switched(v, rows, "scatter", "Predicted against measured", "Points on the solid line are exact, between the dashed lines within a quarter of the measured value. Both scales are logarithmic. Suspect rows are drawn, never scored.", 560, scatterOption));
}

export function errorsSection(v: Values): Section | undefined {
  const rows = rowsOf(v);
  if (rows.length === 0) return undefined;
  return sectionOf("errors", "How the errors are distributed", switched(v, rows, "errors", "Errors of single rows, by group", "A cloud left of zero is predicted too low, right of it too high; its width is the spread.", 480, stripOption));
}

export function groupTables(v: Values): Section | undefined {
  const tables = kGroups.filter(([key]) => v.doc.has(`/${key}`)).map(([key, name]) => {
    const lines = v.doc.children(`/${key}`).flatMap((group) => v.doc.children(group).map((metric) => ({ group, metric })));
    return [el("h3", {}, `By ${name}`), searchable(`Errors by ${name}`, [{ name }, { name: "metric" }, ...kColumns.map(([, title]) => ({ name: title, number: true }))], lines.map(({ group, metric }) => ({
      cells: () => [last(group), metricName(last(metric)), ...kColumns.map(([column, , unit]) => v.num(`${metric}/${column}`, unit))],
      keys: [last(group), metricName(last(metric)), ...kColumns.map(([column]) => v.doc.number(`${metric}/${column}`) ?? 0)],
    })))];
  });
  return sectionOf("groups", "Errors by group", tables.length > 0 && tables);
}

function last(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/~1/g, "/").replace(/~0/g, "~");
}

const kWorst = 50;

export function worstSection(v: Values): Section | undefined {
  const off = (row: Row): number => Math.abs(Math.log((v.doc.number(`${row.path}/predicted`) ?? 1) / (v.doc.number(`${row.path}/measured`) ?? 1)));
  const worst = rowsOf(v).filter((row) => v.doc.flag(`${row.path}/scored`) !== false).sort((a, b) => off(b) - off(a)).slice(0, kWorst);
  return sectionOf("worst", "The worst rows", worst.length > 0 && rowTable(v, worst, "Scored rows, furthest off first"));
}

export function coverageSection(v: Values): Section | undefined {
  const { doc } = v;
  if (!doc.has("/coverage")) return undefined;
  const metrics = ["by_kind", "by_metric", "by_metric_kind"].flatMap((key) => doc.children(`/coverage/${key}`)).filter((path) => doc.number(`${path}/share`) !== undefined);
  const nameOf = (path: string): string => { const [metric = "", kind] = last(path).split("/"); return kind === undefined ? metricName(metric) : `${metricName(metric)}, ${kind}`; };
  const level = doc.number("/coverage/level") ?? 0;
  const chart = metrics.length > 0 && figure({
    id: "coverage", title: "Measured values inside the stated interval", height: 80 + metrics.length * 30,
    caption: ["A bar that ends at the line says how sure it is as it should be; a shorter one is too sure of itself. Stated: ", v.num("/coverage/level", "share"), "."],
    option: {
      grid: { left: 8, right: 30, top: 24, bottom: 26, containLabel: true }, tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "share") },
      xAxis: valueAxis("share inside", "share", { min: 0, max: 1, nameGap: 26 }), yAxis: nameAxis(metrics.map(nameOf), { inverse: true }),
      series: [{ type: "bar" as const, name: "inside", barWidth: 20, itemStyle: { color: colour(0) }, data: metrics.map((path) => v.point(`${path}/share`)),
        markLine: { silent: true, symbol: "none", lineStyle: { color: "var(--bad)", type: "dashed" as const }, label: { formatter: "stated", color: "var(--bad)" }, data: [{ xAxis: level }] } }],
    },
    table: () => table("Share inside", [{ name: "of" }, { name: "rows", number: true }, { name: "share inside", number: true }], metrics.map((path) => [nameOf(path), v.num(`${path}/count`, "count"), v.num(`${path}/share`, "share")])),
  });
  return sectionOf("coverage", "Do the intervals hold what they promise?", el("p", {}, v.num("/coverage/share", "share"), " of ", v.num("/coverage/count", "count"), " measured values lie inside the stated ", v.num("/coverage/level", "share"), " interval."), chart);
}

export function refusedSection(v: Values): Section | undefined {
  const refused = v.doc.children("/refused");
  return sectionOf("refused", "Refused runs, and why", refused.length > 0 && searchable("Refused runs", [{ name: "run" }, { name: "why" }], refused.map((path) => ({
    cells: () => [v.text(`${path}/id`), v.text(`${path}/why`)], keys: [v.doc.text(`${path}/id`) ?? "", v.doc.text(`${path}/why`) ?? ""],
  })), "runs"));
}

/** Errors of the same metrics under two settings, side by side. */
function sideBySide(v: Values, title: string, one: [string, string], other: [string, string]): Child {
  const metrics = v.doc.keys(one[0]);
  if (metrics.length === 0) return undefined;
  const columns = [["median_ape", "median"], ["p90_ape", "p90"]].flatMap(([key, name]) => [one, other].map(([root, setting]) => ({ key: key ?? "", root, name: `${name}, ${setting}`, number: true })));
  return scrolling(title, table(title, [{ name: "metric" }, ...columns], metrics.map((metric) => [metricName(metric), ...columns.map(({ key, root }) => v.num(join(join(root, metric), key), "share"))])));
}

export function beforeAnchorsSection(v: Values): Section | undefined {
  return sectionOf("anchored", "What the anchors changed", sideBySide(v, "The same rows without and with anchors", ["/metrics_before", "without"], ["/metrics", "with"]));
}

/** Errors when everything about the row's own model and GPU was kept from the fit: what to expect of a deployment that nobody measured. */
export function leftOutSection(v: Values): Section | undefined {
  const tableOf = sideBySide(v, "Errors of rows whose model and GPU the fit has not seen, and of all", ["/left_out/metrics", "not seen"], ["/metrics", "as shipped"]);
  return sectionOf("left-out", "What to expect where nobody measured", tableOf);
}

export function unscoredSection(v: Values): Section | undefined {
  const rows = v.doc.children("/unscored");
  return sectionOf("unscored", "Runs that are not scored, and why", rows.length > 0 && searchable("Runs that are not scored", [{ name: "run" }, { name: "why" }], rows.map((path) => ({
    cells: () => [v.text(`${path}/id`), v.text(`${path}/why`)], keys: [v.doc.text(`${path}/id`) ?? "", v.doc.text(`${path}/why`) ?? ""],
  })), "runs"));
}

/** The page of a replayed request log. */
export function logSections(v: Values): (Section | undefined)[] {
  const { doc } = v;
  const metrics = doc.keys("").filter((key) => doc.has(`/${key}/mean/measured`) || doc.has(`/${key}/measured`));
  const rows = metrics.flatMap((key) => (doc.has(`/${key}/measured`) ? [[plain(key), `/${key}`]] : doc.children(`/${key}`).map((path) => [`${metricName(key)} ${last(path)}`, path]))) as [string, string][];
  const instants = doc.children("/timeline");
  const series = ["running", "waiting"].flatMap((what) => ["measured", "predicted"].map((which) => ({ what, which })));
  const chart = instants.length > 0 && figure({
    id: "log", title: "Requests running and waiting over time", height: 320, caption: "Where the predicted line follows the measured one, scheduler and memory are modelled as they work.",
    option: {
      grid: { left: 26, right: 24, top: 14, bottom: 26, containLabel: true }, tooltip: { trigger: "item" }, xAxis: valueAxis("time", "s", { nameGap: 26 }), yAxis: valueAxis("requests", "plain", { nameGap: 46 }),
      series: series.map(({ what, which }, i) => ({
        type: "line" as const, name: `${what}, ${which}`, showSymbol: false, lineStyle: { color: colour(Math.floor(i / 2)), type: which === "measured" ? "solid" as const : "dashed" as const, width: 2 }, itemStyle: { color: colour(Math.floor(i / 2)) },
        data: instants.map((path) => ({ value: [doc.number(`${path}/at_s`), doc.number(`${path}/${which}/${what}`)], paths: [`${path}/at_s`, `${path}/${which}/${what}`] })) as never,
      })),
    },
    table: () => table("Requests over time", [{ name: "time", number: true }, ...series.map(({ what, which }) => ({ name: `${what}, ${which}`, number: true }))],
      instants.map((path) => [v.num(`${path}/at_s`, "s"), ...series.map(({ what, which }) => v.num(`${path}/${which}/${what}`, "count"))])),
  });
  return [sectionOf("log-errors", "Predicted against measured", scrolling("Errors", table("Latency of the log's requests", [{ name: "quantity" }, { name: "measured", number: true }, { name: "predicted", number: true }, { name: "error", number: true }],
    rows.map(([name, path]) => [name, v.num(`${path}/measured`, "s"), v.num(`${path}/predicted`, "s"), v.num(`${path}/error`, "error")])))),
    sectionOf("log-timeline", "Over time", chart)];
}

export function logDecision(v: Values): HTMLElement {
  return el("section", { id: "decision", "aria-labelledby": "decision-title" }, el("div", { class: "verdict" },
    el("h2", { id: "decision-title", class: "headline" }, v.num("/requests/logged", "requests"), " of ", v.text("/log"), " replayed on ", v.text("/scenario"), ": ",
      v.num("/makespan_s/predicted", "s"), " predicted, ", v.num("/makespan_s/measured", "s"), " measured.")),
    el("div", { class: "cards" }, v.doc.keys("").filter((key) => v.doc.has(`/${key}/p50/error`)).map((key) => el("div", { class: "card" }, el("h3", {}, metricName(key)),
      el("p", { class: "big" }, v.num(`/${key}/p50/error`, "error"), " at p50"),
      el("p", {}, v.num(`/${key}/p50/measured`, "s"), " measured, ", v.num(`/${key}/p50/predicted`, "s"), " predicted; at p90 ", v.num(`/${key}/p90/error`, "error"))))));
}
