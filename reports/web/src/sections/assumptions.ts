// What the result assumes: every resolved value of the scenario, and the two that matter most.
import { el, type Child } from "../dom";
import { leaf } from "../json";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { searchable, type SearchableRow } from "../table";
import { plain, statisticName } from "../words";
import { sensitivities, unitOfMetric } from "./sensitivity";

/** The two strongest inputs by calculated sensitivity, else by rule. */
export function mainAssumptions(v: Values): { lines: Child[]; how: string } {
  const planned = v.doc.children("/plan/assumptions");
  if (planned.length > 0) return { lines: planned.slice(0, 2).map((path) => v.text(path)), how: "What would change the plan, strongest first." };
  const calculated = sensitivities(v)[0];
  if (calculated !== undefined && calculated.bars.length > 0) {
    const unit = unitOfMetric(calculated.metric);
    return {
      lines: calculated.bars.slice(0, 2).map((bar) => [el("strong", {}, v.text(`${bar}/input`)), ": moves ", statisticName(calculated.metric), " from ", v.num(`${bar}/low_value`, unit), " to ", v.num(`${bar}/high_value`, unit), "."]),
      how: `By what moves ${statisticName(calculated.metric)} most when varied alone.`,
    };
  }
  return { lines: byRule(v).slice(0, 2), how: "By rule: no sensitivities were calculated." };
}

function byRule(v: Values): Child[] {
  const { doc } = v;
  const lines: Child[] = [];
  const weak = ["datasheet", "transferred", "extrapolated"].map((key) => `/provenance/step_time_share/${key}`)
    .filter((path) => (doc.number(path) ?? 0) > 0.05).sort((a, b) => (doc.number(b) ?? 0) - (doc.number(a) ?? 0))[0];
  if (weak !== undefined) lines.push([el("strong", {}, "Kernel speed"), ": ", v.num(weak, "share"), " of the kernel time is ", leaf(weak), ", not measured at its shape."]);
  if (doc.has("/scenario/workload")) {
    const rate = doc.first("/scenario/workload/arrivals/rate", "/scenario/workload/arrivals/concurrency");
    lines.push([el("strong", {}, "Load"), ": ", v.text("/scenario/workload/arrivals/process"), " arrivals", rate !== undefined && [", ", v.any(rate)], ", prompts ", lengths(v, "prompt_tokens"), ", answers ", lengths(v, "output_tokens"), "."]);
  }
  if (doc.has("/experts/routing")) lines.push([el("strong", {}, "Expert popularity"), ": ", v.text("/experts/routing"), "."]);
  if (doc.has("/scenario/deployment/cost_profile")) lines.push([el("strong", {}, "Cost profile"), ": ", v.text("/scenario/deployment/cost_profile"), "."]);
  return lines;
}

function lengths(v: Values, key: string): Child {
  const path = `/scenario/workload/${key}`;
  if (!v.doc.has(path)) return "by class";
  const values = ["value", "median", "low", "high"].filter((name) => v.doc.number(`${path}/${name}`) !== undefined);
  const from = values.includes("low") && values.includes("high") ? [v.num(`${path}/low`, "count"), " to ", v.num(`${path}/high`, "tokens")] : values[0] === undefined ? undefined : v.num(`${path}/${values[0]}`, "tokens");
  return [v.text(`${path}/distribution`), from !== undefined && [" ", from]];
}

/** Every number, text and flag below `path`. */
function leaves(v: Values, path: string): string[] {
  const value = v.doc.at(path);
  if (value === null || value === undefined) return [];
  return typeof value === "object" ? v.doc.children(path).flatMap((child) => leaves(v, child)) : [path];
}

export function assumptionsSection(v: Values): Section | undefined {
  const paths = leaves(v, "/scenario");
  if (paths.length === 0) return undefined;
  const rows: SearchableRow[] = paths.map((path) => {
    const name = path.slice("/scenario/".length).split("/").map(plain).join(" › ");
    return { cells: () => [name, v.any(path)], keys: [name, String(v.doc.at(path))] };
  });
  return sectionOf("assumptions", "Assumptions: every value the result rests on", searchable("Resolved scenario", [{ name: "setting" }, { name: "value" }], rows, "settings"));
}
