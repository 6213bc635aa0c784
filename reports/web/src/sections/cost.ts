// What it costs, of what that consists, and what an API would charge for the same tokens.
import { colour, figure, nameAxis, valueAxis } from "../chart";
import { el, type Child } from "../dom";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { scrolling, table } from "../table";
import { format, unitOfKey } from "../units";
import { capital, plain } from "../words";

const kTotals: [string, string][] = [
  ["per_hour_usd", "All GPUs, per hour"], ["per_gpu_hour_usd", "One GPU, per hour"], ["per_million_output_tokens_usd", "Per million output tokens"],
  ["per_million_total_tokens_usd", "Per million tokens, prompts included"], ["usd_per_million_input_tokens", "Per million input tokens"], ["per_million_input_tokens_usd", "Per million input tokens"],
  ["per_request_usd", "Per request"],
];

function breakdown(v: Values): Child {
  const items = v.doc.children("/cost/breakdown").filter((path) => v.doc.number(`${path}/usd_per_hour`) !== undefined);
  if (items.length === 0) return undefined;
  return figure({
    id: "cost", title: "Cost per hour, by item", height: 104,
    caption: "What an hour of this deployment consists of; the widest part is the one to negotiate.",
    option: {
      grid: { left: 8, right: 30, top: 14, bottom: 22, containLabel: true }, tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "usd_per_h") },
      xAxis: valueAxis("USD per hour", "usd_per_h", { nameGap: 26 }), yAxis: nameAxis([""]),
      series: items.map((path, i) => ({ type: "bar" as const, name: v.doc.text(`${path}/item`) ?? "", stack: "all", barWidth: 34, itemStyle: { color: colour(i) }, data: [v.point(`${path}/usd_per_hour`)] })),
    },
    table: () => table("Cost per hour", [{ name: "item" }, { name: "per hour", number: true }, { name: "source" }],
      items.map((path) => [v.text(`${path}/item`), v.num(`${path}/usd_per_hour`, "usd_per_h"), v.text(`${path}/source`)])),
  });
}

/** A flat object as a list of its values. */
function valueList(v: Values, path: string, title: string): Child {
  const keys = v.doc.children(path).filter((child) => ["number", "string"].includes(typeof v.doc.at(child)));
  if (keys.length === 0) return undefined;
  return [el("h3", {}, title), scrolling(title, table(title, [{ name: "quantity" }, { name: "value" }],
    keys.map((child) => { const key = child.slice(child.lastIndexOf("/") + 1); return [capital(plain(key)), v.any(child, unitOfKey(key))]; })))];
}

export function costSection(v: Values): Section | undefined {
  const { doc } = v;
  if (!doc.has("/cost")) return undefined;
  const rows = kTotals.filter(([key]) => doc.number(`/cost/${key}`) !== undefined).map(([key, name]) => [name, v.num(`/cost/${key}`, unitOfKey(key))]);
  return sectionOf("cost", "Cost: what does a token cost?", doc.has("/plan/best") && el("p", { class: "soft" }, "At the load that the plan is sized for; the first screen has it at the mean load, too."), scrolling("Cost", table("Cost of the deployment", [{ name: "of what" }, { name: "cost", number: true }], rows)),
    doc.text("/cost/source") !== "" && doc.has("/cost/source") && el("p", { class: "soft" }, "Price: ", v.text("/cost/source"), "."),
    breakdown(v), valueList(v, "/cost/power", "Power"), valueList(v, "/cost/api", "Against an API"),
    valueList(v, "/cost/api/at_mean_load", "Against an API, at the mean load"));
}
