// A chart of the page: a figure with a caption that says what to see, the drawing, and the same numbers as a table for who cannot see it.
//
// Values are the JSON's own (SI units); axes and tooltips format them. Colours are CSS variables, so that themes and print need no redraw.
import { BarChart, CustomChart, HeatmapChart, LineChart, ScatterChart } from "echarts/charts";
import { GridComponent, MarkLineComponent, TooltipComponent, VisualMapComponent } from "echarts/components";
import { init, use, type ECharts } from "echarts/core";
import { LabelLayout } from "echarts/features";
import { SVGRenderer } from "echarts/renderers";
import type { EChartsOption } from "echarts";
import { el, type Child } from "./dom";
import { scrolling } from "./table";
import { formatTick, type Unit } from "./units";

use([BarChart, CustomChart, HeatmapChart, LineChart, ScatterChart, GridComponent, MarkLineComponent, TooltipComponent, VisualMapComponent, LabelLayout,
  SVGRenderer]);

export interface Chart {
  id: string;
  /** What is drawn, for the screen reader too. */
  title: string;
  /** What to see. */
  caption: Child;
  height: number;
  option: EChartsOption;
  /** The numbers as a table; made when it is opened. */
  table: () => HTMLElement;
  /** Controls above the drawing. */
  controls?: HTMLElement;
}

/** Drawn charts by id; the tests read their data here. */
export const charts = new Map<string, ECharts>();

const pending: { chart: Chart; target: HTMLElement }[] = [];

export function colour(index: number): string {
  return `var(--c${index % 8})`;
}

/** What is folded away until asked for. */
function folded(summary: string, name: string, make: () => HTMLElement): HTMLElement {
  const details = el("details", { class: "numbers no-print" }, el("summary", {}, summary));
  details.addEventListener("toggle", () => { if (details.open && details.children.length === 1) details.append(scrolling(name, make())); });
  return details;
}

export function figure(chart: Chart): HTMLElement {
  const target = el("div", { class: "drawing", id: `chart-${chart.id}`, role: "img", "aria-label": `${chart.title}. The numbers are in the table below.`, style: `height:${chart.height}px` });
  pending.push({ chart, target });
  return el("figure", { class: "chart" },
    el("h3", {}, chart.title), chart.controls, legendOf(chart.option), target,
    el("figcaption", {}, chart.caption),
    folded(`Numbers of “${chart.title}”`, `Numbers of ${chart.title}`, chart.table));
}

/** Text is measured by name, so the font cannot be inherited. */
const kText = { color: "var(--fg)", fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif', fontSize: 12 };
const kLine = { lineStyle: { color: "var(--rule)" } };

/** An axis of values in `unit`. */
export function valueAxis(name: string, unit: Unit, more: object = {}): object {
  return {
    type: "value", name, nameLocation: "middle", nameTextStyle: { ...kText, color: "var(--soft)" },
    axisLabel: { ...kText, formatter: (value: number) => formatTick(value, unit), hideOverlap: true }, splitLine: kLine, axisLine: kLine, ...more,
  };
}

/** An axis of names. */
export function nameAxis(names: string[], more: object = {}): object {
  return { type: "category", data: names, axisLabel: { ...kText, interval: 0 }, axisLine: kLine, axisTick: { show: false }, ...more };
}

interface Drawn { name?: string; type?: string; symbol?: string; itemStyle?: { color?: string; opacity?: number }; unnamed?: boolean; lineStyle?: { type?: string } }

const kGlyphs: Record<string, string> = { circle: "●", triangle: "▲", rect: "■", diamond: "◆", dashed: "╌" };

/** Colour and name of every series, as text that wraps; nothing for a single series. */
export function legendOf(option: EChartsOption): HTMLElement {
  const series = (Array.isArray(option.series) ? option.series : []) as unknown as Drawn[];
  const named = series.filter((one) => one.unnamed !== true && one.type !== "heatmap");
  return el("ul", { class: "legend", "aria-hidden": "true" }, named.length < 2 ? [] : named.map((one) => {
    const glyph = one.lineStyle?.type === "dashed" ? kGlyphs["dashed"] : kGlyphs[one.symbol ?? ""] ?? "■";
    return el("li", {}, el("span", { style: `color:${one.itemStyle?.color ?? "inherit"};opacity:${one.itemStyle?.opacity ?? 1}` }, glyph), ` ${one.name ?? ""}`);
  }));
}

/** A dashed line at a bound. */
export function boundLine(axis: "xAxis" | "yAxis", value: number, name: string): object {
  return {
    silent: true, symbol: "none", lineStyle: { color: "var(--bad)", type: "dashed", width: 2 },
    label: { formatter: name, color: "var(--bad)", fontSize: 11, position: axis === "xAxis" ? "end" : "insideEndTop" },
    data: [{ [axis]: value }],
  };
}

const kBase: EChartsOption = {
  animation: false,
  textStyle: kText,
  grid: { left: 8, right: 24, top: 12, bottom: 8, containLabel: true },
};

const kTooltip = {
  confine: true, backgroundColor: "var(--panel)", borderColor: "var(--rule)", textStyle: { ...kText, fontSize: 13 }, transitionDuration: 0,
  axisPointer: { type: "shadow", shadowStyle: { color: "var(--rule)", opacity: 0.35 } },
};

/** Colours of hover states would have to be computed from CSS variables, which ECharts cannot do. */
function plainStates(option: EChartsOption): EChartsOption {
  const series = Array.isArray(option.series) ? option.series : option.series ? [option.series] : [];
  return { ...option, series: series.map((one) => ({ emphasis: { disabled: true }, ...one })) as EChartsOption["series"] };
}

function applyOption(chart: ECharts, option: EChartsOption): void {
  chart.setOption({ ...kBase, ...plainStates(option), tooltip: { ...kTooltip, ...(option.tooltip as object | undefined) } }, { notMerge: true });
}

/** Lets the drawing shrink with its box when no script runs, as while printing. */
function scaleWithBox(target: HTMLElement): void {
  const svg = target.querySelector("svg");
  if (svg === null) return;
  svg.setAttribute("viewBox", `0 0 ${svg.getAttribute("width") ?? "1"} ${svg.getAttribute("height") ?? "1"}`);
}

/** Draws chart `id` anew. */
export function redraw(id: string, option: EChartsOption): void {
  const chart = charts.get(id);
  if (chart === undefined) return;
  applyOption(chart, option);
  chart.getDom().previousElementSibling?.replaceWith(legendOf(option));
}

/** Draws all figures that stand in the document by now. */
export function drawAll(): void {
  for (const { chart, target } of pending.splice(0)) {
    const drawn = init(target, null, { renderer: "svg" });
    drawn.on("rendered", () => scaleWithBox(target));
    applyOption(drawn, chart.option);
    scaleWithBox(target);
    charts.set(chart.id, drawn);
  }
}

/** Fits all charts to `width` pixels, or each to its box. */
export function resizeAll(width: number | "auto" = "auto"): void {
  for (const chart of charts.values()) chart.resize({ width });
}
