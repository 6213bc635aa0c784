// Which uncertain input moves the result most: one tornado a metric.
import { figure, nameAxis, valueAxis } from "../chart";
import { el } from "../dom";
import { join } from "../json";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { scrolling, table } from "../table";
import { format, unitOfKey, type Unit } from "../units";
import { statisticName } from "../words";

export function unitOfMetric(metric: string): Unit {
  if (/^(ttft|tpot|itl|e2e|queue)[._]/.test(metric)) return "s";
  return unitOfKey(metric.replace(/^throughput\./, ""));
}

export interface Sensitivity {
  metric: string;
  /** Pointers of the bars, widest first. */
  bars: string[];
}

/** Calculated sensitivities: metrics with an objective first. */
export function sensitivities(v: Values): Sensitivity[] {
  const { doc } = v;
  const wanted = doc.children("/objectives").map((path) => (doc.text(`${path}/objective`) ?? "").replace("_", "."));
  const rank = (metric: string): number => { const at = wanted.indexOf(metric); return at < 0 ? wanted.length : at; };
  const width = (bar: string): number => Math.abs((doc.number(`${bar}/high_value`) ?? 0) - (doc.number(`${bar}/low_value`) ?? 0));
  return doc.keys("/uncertainty/sensitivity").map((metric) => ({
    metric, bars: doc.children(join("/uncertainty/sensitivity", metric)).sort((a, b) => width(b) - width(a)),
  })).filter(({ bars }) => bars.length > 0).sort((a, b) => rank(a.metric) - rank(b.metric));
}

const kMostBars = 10;
const kMostTornadoes = 4;

function tornado(v: Values, { metric, bars }: Sensitivity): HTMLElement {
  const shown = bars.slice(0, kMostBars);
  const unit = unitOfMetric(metric);
  const { doc } = v;
  const low = (bar: string): number => doc.number(`${bar}/low_value`) ?? 0;
  const high = (bar: string): number => doc.number(`${bar}/high_value`) ?? 0;
  return figure({
    id: `tornado-${metric}`, title: `What moves ${statisticName(metric)}`, height: 90 + shown.length * 26,
    caption: ["The widest bar is the input whose uncertainty moves ", statisticName(metric), " most: measure that one first."],
    option: {
      grid: { left: 8, right: 30, top: 8, bottom: 24, containLabel: true },
      tooltip: { formatter: (item: unknown) => {
        const bar = shown[(item as { dataIndex: number }).dataIndex] ?? "";
        return `${doc.text(`${bar}/input`) ?? ""}<br>low: <strong>${format(low(bar), unit)}</strong><br>high: <strong>${format(high(bar), unit)}</strong>`;
      } },
      xAxis: valueAxis(statisticName(metric), unit, { scale: true, nameGap: 26 }),
      yAxis: nameAxis(shown.map((bar) => doc.text(`${bar}/input`) ?? ""), { inverse: true }),
      series: [{
        type: "custom" as const, name: statisticName(metric), encode: { x: [1, 2], y: 0 },
        renderItem: (_params, api) => {
          const a = api.coord([api.value(1), api.value(0)]);
          const b = api.coord([api.value(2), api.value(0)]);
          const [x1 = 0, y = 0, x2 = 0] = [a[0], a[1], b[0]];
          return { type: "rect", shape: { x: Math.min(x1, x2), y: y - 8, width: Math.max(1, Math.abs(x2 - x1)), height: 16 }, style: { fill: x2 >= x1 ? "var(--c0)" : "var(--c1)" } } as never;
        },
        data: shown.map((bar, i) => ({ value: [i, low(bar), high(bar)], paths: [null, `${bar}/low_value`, `${bar}/high_value`] })) as never,
      }],
    },
    table: () => table(`${statisticName(metric)} at the low and the high end of each input`, [{ name: "input" }, { name: "at low", number: true }, { name: "at high", number: true }],
      bars.map((bar) => [v.text(`${bar}/input`), v.num(`${bar}/low_value`, unit), v.num(`${bar}/high_value`, unit)])),
  });
}

export function sensitivitySection(v: Values): Section | undefined {
  const { doc } = v;
  const found = sensitivities(v);
  if (found.length === 0) return undefined;
  const inputs = doc.children("/uncertainty/inputs");
  const samples = doc.number("/uncertainty/samples") !== undefined && el("p", {}, "Intervals come from ", v.num("/uncertainty/samples", "count"), " samples of all inputs together. Blue bars: the metric rises with the input; orange: it falls.");
  return sectionOf("sensitivity", "Sensitivity: which assumption matters?", samples, el("div", { class: "figures" }, found.slice(0, kMostTornadoes).map((one) => tornado(v, one))),
    inputs.length > 0 && scrolling("Uncertain inputs", table("Uncertain inputs", [{ name: "input" }, { name: "kind" }, { name: "low", number: true }, { name: "high", number: true }, { name: "source" }],
      inputs.map((path) => [v.text(`${path}/name`), v.text(`${path}/kind`), v.any(`${path}/low`, "plain"), v.any(`${path}/high`, "plain"), v.text(`${path}/source`)]))));
}
