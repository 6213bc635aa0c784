// Latency percentiles of the requests after warm-up, one chart a metric, with the objective's line and the interval where there is one.
import { boundLine, colour, figure, nameAxis, valueAxis } from "../chart";
import type { CustomSeriesOption } from "echarts";
import { el, type Child } from "../dom";
import { leaf } from "../json";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { table, scrolling } from "../table";
import { format, formatTick } from "../units";
import { capital, metricHelp, metricName } from "../words";

const kStatistics = ["mean", "p50", "p90", "p95", "p99", "max"];
const kMetrics = ["ttft_s", "tpot_s", "itl_s", "e2e_s", "queue_s"];

/** Objectives on a metric: pointer and statistic. */
function objectivesOn(v: Values, metric: string): { path: string; statistic: string }[] {
  const start = metric.replace(/_s$/, "_");
  return v.doc.children("/objectives").flatMap((path) => {
    const key = v.doc.text(`${path}/objective`) ?? "";
    return key.startsWith(start) ? [{ path, statistic: key.slice(start.length) }] : [];
  });
}

/** Whiskers from low to high over the categories of a chart. */
export function whiskers(items: { index: number; low: string; high: string }[], v: Values): CustomSeriesOption {
  return {
    type: "custom", name: "interval", silent: true, z: 5, ...({ unnamed: true } as object),
    renderItem: (_params, api) => {
      const at = Number(api.value(0));
      const low = api.coord([at, api.value(1)]);
      const high = api.coord([at, api.value(2)]);
      const [x = 0, bottom = 0, top = 0] = [low[0], low[1], high[1]];
      const line = (x1: number, y1: number, x2: number, y2: number): object => ({ type: "line", shape: { x1, y1, x2, y2 }, style: { stroke: "var(--fg)", lineWidth: 1.5 } });
      return { type: "group", children: [line(x, bottom, x, top), line(x - 6, bottom, x + 6, bottom), line(x - 6, top, x + 6, top)] } as never;
    },
    data: items.map(({ index, low, high }) => ({ value: [index, v.doc.number(low) ?? 0, v.doc.number(high) ?? 0], paths: [null, low, high] })) as CustomSeriesOption["data"],
    encode: { x: 0, y: [1, 2] },
  };
}

function metricChart(v: Values, metric: string): Child {
  const { doc } = v;
  const path = `/latency/${metric}`;
  const statistics = kStatistics.filter((key) => doc.number(`${path}/${key}`) !== undefined);
  const objectives = objectivesOn(v, metric);
  const name = metricName(metric);
  const intervals = statistics.flatMap((key, i) => {
    const interval = `/intervals/${metric.replace(/_s$/, "")}.${key}`;
    return doc.has(interval) ? [{ index: i, low: `${interval}/low`, high: `${interval}/high` }] : [];
  });
  const bounds = objectives.map(({ path: objective }) => doc.number(`${objective}/bound`) ?? 0);
  const biggest = Math.max(...statistics.map((key) => doc.number(`${path}/${key}`) ?? 0), 0);
  // A bound far above all values would press the bars flat: it is named in the caption instead.
  const near = bounds.filter((bound) => bound <= biggest * 4);
  return figure({
    id: `latency-${leaf(path)}`, title: `${name}: ${metricHelp(metric) ?? ""}`, height: 230,
    caption: [
      objectives.length === 0 ? "No objective is set on this latency; look at how far p99 lies above p50. " :
        objectives.map(({ path: objective, statistic }) => [`Objective on ${statistic}: at most `, v.num(`${objective}/bound`, "s"), ", found ", v.num(`${objective}/value`, "s"),
          doc.flag(`${objective}/met`) ? ": met. " : ": not met. "]),
      near.length > 0 && "The dashed line is the objective. ",
      intervals.length > 0 && "Whiskers show the interval of each value. ",
    ],
    option: {
      grid: { left: 8, right: 12, top: 18, bottom: 4, containLabel: true },
      tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "s") },
      xAxis: nameAxis(statistics),
      yAxis: valueAxis("", "s", { max: (range: { max: number }) => Math.max(range.max, ...near) * 1.05, splitNumber: 4, axisLabel: { color: "var(--fg)", showMaxLabel: false, formatter: (value: number) => formatTick(value, "s") } }),
      series: [
        { type: "bar" as const, name, barWidth: "55%", itemStyle: { color: colour(0) }, data: statistics.map((key) => v.point(`${path}/${key}`)),
          label: { show: true, position: "top" as const, color: "var(--fg)", fontSize: 11, formatter: (item: { value?: unknown }) => format(Number(item.value), "s") },
          ...(near[0] !== undefined ? { markLine: boundLine("yAxis", near[0], "objective") } : {}) },
        ...(intervals.length > 0 ? [whiskers(intervals, v)] : []),
      ],
    },
    table: () => table(name, [{ name: "statistic" }, { name: "value", number: true }, { name: "low", number: true }, { name: "high", number: true }],
      statistics.map((key) => [key, v.num(`${path}/${key}`, "s"), v.num(`/intervals/${metric.replace(/_s$/, "")}.${key}/low`, "s"), v.num(`/intervals/${metric.replace(/_s$/, "")}.${key}/high`, "s")])),
  });
}

export function latencySection(v: Values): Section | undefined {
  const metrics = kMetrics.filter((metric) => v.doc.has(`/latency/${metric}`));
  if (metrics.length === 0) return undefined;
  const whole = scrolling("Latencies", table("Latency of the requests after warm-up",
    [{ name: "latency" }, ...kStatistics.map((name) => ({ name, number: true }))],
    metrics.map((metric) => [capital(metricName(metric)), ...kStatistics.map((key) => v.num(`/latency/${metric}/${key}`, "s"))])));
  return sectionOf("latency", "Latency: how long do users wait?", el("div", { class: "figures" }, metrics.map((metric) => metricChart(v, metric))), whole);
}
