// What every report closes with: the checklist, the warnings, where the numbers come from.
import { colour, figure, nameAxis, valueAxis } from "../chart";
import { el, type Child } from "../dom";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { scrolling, table } from "../table";
import { format } from "../units";
import { capital } from "../words";

const kTones: Record<string, string> = { confirmed: "good", open: "warn", failed: "bad" };

export function checklistSection(v: Values): Section | undefined {
  const items = v.doc.children("/checklist");
  if (items.length === 0) return undefined;
  return sectionOf("checklist", "Before you buy: production checklist", scrolling("Production checklist", table("What must be settled before production", [{ name: "check" }, { name: "state" }, { name: "why, or what to do" }],
    items.map((path) => [v.text(`${path}/check`), el("span", { class: `badge ${kTones[v.doc.text(`${path}/status`) ?? ""] ?? ""}` }, v.text(`${path}/status`)), v.text(`${path}/detail`)]))));
}

export function warningsSection(v: Values): Section | undefined {
  const items = v.doc.children("/warnings");
  if (items.length === 0) return undefined;
  return sectionOf("warnings", "Warnings", el("ul", {}, items.map((path) => el("li", {}, v.text(path)))));
}

export function anchorsSection(v: Values): Section | undefined {
  const rows = v.doc.children("/anchors/rows");
  if (rows.length === 0) return undefined;
  return sectionOf("anchors", "Anchors: measured points of this deployment", scrolling("Anchors", table("Measured points, before and after the correction",
    [{ name: "run" }, { name: "metric" }, { name: "measured", number: true }, { name: "before", number: true }, { name: "after", number: true }, { name: "error before", number: true }, { name: "error after", number: true }],
    rows.map((path) => {
      const unit = v.doc.text(`${path}/metric`) === "output_tok_s" ? "tokens_per_s" : "ms";
      return [v.text(`${path}/id`), v.text(`${path}/metric`), v.num(`${path}/measured`, unit), v.num(`${path}/before`, unit), v.num(`${path}/after`, unit), v.num(`${path}/error_before`, "error"), v.num(`${path}/error_after`, "error")];
    }))));
}

export function provenanceSection(v: Values): Section | undefined {
  const { doc } = v;
  const shares = doc.children("/provenance/step_time_share").filter((path) => (doc.number(path) ?? 0) > 0);
  const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
  const chart = shares.length > 0 && figure({
    id: "provenance", title: "What the simulated kernel time rests on", height: 92,
    caption: "The more is measured or interpolated between measurements, the more the latencies can be trusted; hover over any number of this page to see its own origin.",
    option: {
      grid: { left: 8, right: 24, top: 14, bottom: 6, containLabel: true }, tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "share") },
      xAxis: valueAxis("", "share", { max: 1 }), yAxis: nameAxis([""]),
      series: shares.map((path, i) => ({ type: "bar" as const, name: nameOf(path), stack: "all", barWidth: 30, itemStyle: { color: colour(i) }, data: [v.point(path)] })),
    },
    table: () => table("Share of the kernel time", [{ name: "rests on" }, { name: "share", number: true }], shares.map((path) => [capital(nameOf(path)), v.num(path, "share")])),
  });
  return sectionOf("provenance", kProvenance, chart, fileList(v));
}

const kProvenance = "Provenance: where the numbers come from";

/** Provenance without the shares of one result, for pages about several. */
export function provenanceFiles(v: Values): Section | undefined {
  return sectionOf("provenance", kProvenance, fileList(v));
}

function fileList(v: Values): Child {
  const files = v.doc.children("/provenance/files");
  return files.length > 0 && el("details", {}, el("summary", {}, "Files used, with their SHA-256"), scrolling("Files", table("Files used", [{ name: "file" }, { name: "SHA-256" }],
    files.map((path) => [v.text(`${path}/file`), el("code", {}, v.text(`${path}/sha256`))]))));
}
