// Where a mean decode step and a mean prefill step spend their time.
import { colour, figure, nameAxis, valueAxis } from "../chart";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { table } from "../table";
import { format } from "../units";
import { capital, operationName } from "../words";

export function stepsSection(v: Values): Section | undefined {
  const { doc } = v;
  const kinds = ["decode", "prefill"].filter((kind) => doc.has(`/step_time/${kind}/share`));
  if (kinds.length === 0) return undefined;
  const operations = [...new Set(kinds.flatMap((kind) => doc.keys(`/step_time/${kind}/share`)))]
    .filter((key) => kinds.some((kind) => (doc.number(`/step_time/${kind}/share/${key}`) ?? 0) > 0));
  const chart = figure({
    id: "steps", title: "Time of a mean step, by operation", height: 160,
    caption: ["The widest part is what a faster GPU or another layout must shorten. ", kinds.map((kind, i) => [i > 0 && "; ", `${capital(kind)} step: `, v.num(`/step_time/${kind}/mean_s`, "s"), " on average"]), "."],
    option: {
      grid: { left: 8, right: 24, top: 14, bottom: 22, containLabel: true },
      tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "share") },
      xAxis: valueAxis("share of the step's time", "share", { max: 1, nameGap: 26 }), yAxis: nameAxis(kinds, { inverse: true }),
      series: operations.map((key, i) => ({
        type: "bar" as const, name: operationName(key), stack: "all", barWidth: 34, itemStyle: { color: colour(i), opacity: i < 8 ? 1 : 0.5 },
        data: kinds.map((kind) => v.point(`/step_time/${kind}/share/${key}`)),
      })),
    },
    table: () => table("Share of the mean step's time", [{ name: "operation" }, ...kinds.map((name) => ({ name, number: true }))],
      operations.map((key) => [capital(operationName(key)), ...kinds.map((kind) => v.num(`/step_time/${kind}/share/${key}`, "share"))])),
  });
  return sectionOf("steps", "Step time: what takes the time?", chart);
}
