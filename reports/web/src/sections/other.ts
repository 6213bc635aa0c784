// Parts of the result that have no section of their own: shown as plain tables, so that no number of the result is missing from the page.
import type { Child } from "../dom";
import { el } from "../dom";
import { join } from "../json";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { scrolling, table } from "../table";
import { unitOfKey } from "../units";
import { capital, plain } from "../words";

/** Top-level keys that another section shows, or that hold no result. */
const kShown = new Set(["schema", "moeplan_version", "scenario", "seed", "replications", "hardware", "checklist", "memory", "latency", "throughput", "step_time", "experts", "network", "utilisation",
  "objectives", "cost", "intervals", "uncertainty", "anchors", "provenance", "warnings", "load_curve", "knee", "plan", "comparison", "classes", "prefix_cache", "kv_tiers", "speculation", "pools", "fleet"]);

const kDeepest = 4;

/** Everything below `path` as tables. */
export function block(v: Values, path: string, title: string, depth = 0): Child[] {
  const scalars = v.doc.children(path).filter((child) => { const value = v.doc.at(child); return value !== null && typeof value !== "object"; });
  const nested = v.doc.children(path).filter((child) => { const value = v.doc.at(child); return value !== null && typeof value === "object" && v.doc.keys(child).length > 0; });
  const records = nested.length > 0 && Array.isArray(v.doc.at(path));
  const parts: Child[] = [];
  if (scalars.length > 0) {
    parts.push(scrolling(title, table(title, [{ name: "quantity" }, { name: "value" }], scalars.map((child) => {
      const key = child.slice(child.lastIndexOf("/") + 1);
      return [capital(plain(key)), v.any(child, unitOfKey(key))];
    }))));
  }
  if (records) return [...parts, recordTable(v, nested, title)];
  if (depth < kDeepest) for (const child of nested) parts.push(...block(v, child, `${title}: ${plain(child.slice(child.lastIndexOf("/") + 1))}`, depth + 1));
  return parts;
}

/** An array of objects: one row each. */
function recordTable(v: Values, rows: string[], title: string): HTMLElement {
  const keys = [...new Set(rows.flatMap((row) => v.doc.keys(row)))];
  return scrolling(title, table(title, keys.map((key) => ({ name: plain(key) })), rows.map((row) => keys.map((key) => v.any(join(row, key), unitOfKey(key))))));
}

export function otherSection(v: Values): Section | undefined {
  const keys = v.doc.keys("").filter((key) => !kShown.has(key) && v.doc.has(join("", key)));
  const blocks = keys.flatMap((key) => [el("h3", {}, capital(plain(key))), ...block(v, join("", key), capital(plain(key)))]);
  return blocks.length > 0 ? sectionOf("more", "Requests and further results", ...blocks) : undefined;
}
