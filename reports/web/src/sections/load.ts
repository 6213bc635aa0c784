// Throughput at the stated load and, where it was simulated, against rising load, with the knee at which the deployment saturates.
import { boundLine, colour, figure, valueAxis } from "../chart";
import { el, type Child } from "../dom";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { table } from "../table";
import { format, unitOfKey, type Unit } from "../units";

interface Curve { name: string; key: string }

/** The points of the curve and the knee, wherever the result keeps them. */
function places(v: Values): { points: string[]; knee: string | undefined } {
  const root = v.doc.first("/load_curve/points", "/load_curve");
  const points = root === undefined ? [] : v.doc.children(root).filter((path) => v.doc.number(`${path}/offered_per_s`) !== undefined);
  return { points, knee: v.doc.first("/load_curve/knee/offered_per_s", "/knee/offered_per_s") };
}

function curves(v: Values, points: string[], wanted: Curve[]): { name: string; data: unknown[] }[] {
  return wanted.flatMap(({ name, key }) => {
    const data = points.filter((path) => v.doc.number(`${path}/${key}`) !== undefined)
      .map((path) => ({ value: [v.doc.number(`${path}/offered_per_s`), v.doc.number(`${path}/${key}`)], paths: [`${path}/offered_per_s`, `${path}/${key}`] }));
    return data.length > 0 ? [{ name, data }] : [];
  });
}

function chart(v: Values, id: string, title: string, caption: Child, unit: Unit, log: boolean, wanted: Curve[]): Child {
  const { points, knee } = places(v);
  const lines = curves(v, points, wanted);
  if (lines.length === 0) return undefined;
  const kneeAt = knee === undefined ? undefined : v.doc.number(knee);
  return figure({
    id, title, height: 300, caption,
    option: {
      grid: { left: 26, right: 24, top: 14, bottom: 26, containLabel: true },
      tooltip: { trigger: "item", formatter: (item: unknown) => {
        const { seriesName, value } = item as { seriesName: string; value: [number, number] };
        return `${seriesName}<br>${format(value[0], "requests_per_s")} offered<br><strong>${format(value[1], unit)}</strong>`;
      } },
      xAxis: valueAxis("offered load, requests/s", "plain", { nameGap: 26 }),
      yAxis: valueAxis("", unit, log ? { type: "log" } : {}),
      series: lines.map((line, i) => ({
        type: "line" as const, name: line.name, data: line.data as never, symbol: "circle", symbolSize: 8, lineStyle: { color: colour(i), width: 2 }, itemStyle: { color: colour(i) },
        ...(i === 0 && kneeAt !== undefined ? { markLine: boundLine("xAxis", kneeAt, "knee") } : {}),
      })),
    },
    table: () => table(title, [{ name: "offered", number: true }, ...wanted.map(({ name }) => ({ name, number: true })), { name: "saturated" }],
      points.map((path) => [v.num(`${path}/offered_per_s`, "requests_per_s"), ...wanted.map(({ key }) => v.num(`${path}/${key}`, unitOfKey(key))), v.any(`${path}/saturated`)])),
  });
}

export function loadSection(v: Values): Section | undefined {
  const { doc } = v;
  const { knee } = places(v);
  const kneeText = (): Child => knee === undefined ? "" : [" The knee lies at ", v.num(knee, "requests_per_s"), " offered: beyond it the queue grows without end."];
  const served = doc.has("/throughput") && el("ul", { class: "plain-list" },
    el("li", {}, "Served: ", v.num("/throughput/requests_per_s"), doc.number("/throughput/offered_per_s") !== undefined && [" of ", v.num("/throughput/offered_per_s"), " offered"],
      doc.flag("/throughput/saturated") ? ". Saturated: more load is offered than served." : "."),
    el("li", {}, "Output: ", v.num("/throughput/output_tokens_per_s"), ", ", v.num("/throughput/output_tokens_per_s_per_gpu"), " per GPU; prompts included ", v.num("/throughput/total_tokens_per_s"), "."),
    doc.has("/utilisation/gpu_busy") && el("li", {}, "GPUs busy ", v.num("/utilisation/gpu_busy", "share"), " of the time, KV cache ", v.num("/utilisation/kv_cache", "share"), " full on average, mean batch ", v.num("/utilisation/mean_batch", "plain"), " requests."));
  return sectionOf("load", "Throughput: what load does it carry?", served, el("div", { class: "figures" },
    chart(v, "load-throughput", "Throughput against offered load", ["Throughput rises with the load until the deployment saturates.", kneeText()], "tokens_per_s", false,
      [{ name: "output tokens/s", key: "output_tokens_per_s" }]),
    chart(v, "load-latency", "Latency against offered load", ["The scale is logarithmic: look where p99 leaves p50.", kneeText()], "s", true,
      [{ name: "TTFT p50", key: "ttft_p50_s" }, { name: "TTFT p99", key: "ttft_p99_s" }, { name: "TPOT p50", key: "tpot_p50_s" }, { name: "TPOT p99", key: "tpot_p99_s" }])));
}
