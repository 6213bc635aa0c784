// Where a number comes from, told on hover: by the part of the result it stands in, with the sources that the result itself names.
import type { Doc } from "./json";
import { format } from "./units";

interface Rule {
  start: RegExp;
  kind: string;
  source: (doc: Doc) => string;
}

const kOrigins = ["measured", "interpolated", "extrapolated", "transferred", "datasheet"];

/** "2.5 % measured, 95 % interpolated": what the simulated step times rest on. */
export function originShares(doc: Doc): string {
  const parts = kOrigins.flatMap((origin) => {
    const share = doc.number(`/provenance/step_time_share/${origin}`);
    return share !== undefined && share >= 0.0005 ? [`${format(share, "share")} ${origin}`] : [];
  });
  return parts.join(", ");
}

function simulated(doc: Doc): string {
  const shares = originShares(doc);
  return "from the discrete-event simulation of every request" + (shares === "" ? "" : `; its kernel times are ${shares}`);
}

function files(doc: Doc, part: RegExp): string {
  const names = doc.children("/provenance/files").flatMap((path) => doc.text(`${path}/file`) ?? []).filter((name) => part.test(name));
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}

const kRules: Rule[] = [
  { start: /^\/(scenario|seed|replications)/, kind: "input", source: (doc) => `stated in the scenario or a default filled in${files(doc, /^scenarios\/[^/]*$/)}` },
  { start: /^\/hardware/, kind: "datasheet", source: (doc) => `catalogue${files(doc, /hardware_profiles\/(gpus|nodes|engines)/)}` },
  { start: /^\/memory/, kind: "computed", source: (doc) => `from the model's layers and the engine's memory rule${files(doc, /models\/|engines\//)}` },
  { start: /^\/cost/, kind: "price", source: (doc) => doc.text("/cost/source") || "stated in the scenario" },
  { start: /^\/intervals|^\/uncertainty/, kind: "uncertainty", source: (doc) => doc.has("/uncertainty") ? "spread over calibration error, workload, routing and seeds" : "spread over replications with different seeds" },
  { start: /^\/objectives\/\d+\/bound/, kind: "input", source: () => "objective of the scenario" },
  { start: /^\/provenance/, kind: "computed", source: () => "share of simulated kernel time by what it rests on" },
  { start: /^\/(load_curve|knee|plan|comparison)/, kind: "simulated", source: simulated },
  { start: /^\/anchors\/.*measured/, kind: "measured", source: () => "measured point of this deployment, given as an anchor" },
  { start: /^\/rows\/\d+\/measured/, kind: "measured", source: () => "published or logged run" },
  { start: /^\/rows\/\d+\/(predicted|low|high)/, kind: "simulated", source: () => "the same run simulated" },
  { start: /^\/(rows|metrics|metrics_before|by_|coverage|left_out|runs|scored|refused)/, kind: "computed", source: () => "predicted against measured; errors are (predicted − measured) / measured" },
  { start: /\/measured$/, kind: "measured", source: () => "from the request log" },
  { start: /^/, kind: "simulated", source: simulated },
];

/** One line on the origin of the value at `path`. */
export function originOf(doc: Doc, path: string): { kind: string; source: string } {
  const rule = kRules.find((candidate) => candidate.start.test(path));
  return rule === undefined ? { kind: "simulated", source: "" } : { kind: rule.kind, source: rule.source(doc) };
}
