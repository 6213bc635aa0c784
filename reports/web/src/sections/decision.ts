// The first screen of a simulated or planned deployment: buy what, at what cost, are the objectives met, how sure is that, and the two
// assumptions that matter most.
import { originShares } from "../provenance";
import { el, type Child } from "../dom";
import type { Doc } from "../json";
import type { Values } from "../numbers";
import { statisticName } from "../words";
import { mainAssumptions } from "./assumptions";

type Tone = "good" | "bad" | "warn" | "";

/** Pointer of the interval that belongs to an objective: "ttft_p99" is "/intervals/ttft.p99". */
export function intervalOf(doc: Doc, objective: string): string | undefined {
  const key = objective.replace(/^(ttft|tpot|itl|e2e|queue)_/, "$1.").replace(/^(output_tokens_per_s|requests_per_s)$/, "throughput.$1");
  return doc.first(`/intervals/objective.${objective}`, `/intervals/${key}`);
}

/** Where the interval lies to the bound: all of it on the good side, none, or across. */
function certainty(doc: Doc, objective: string): { tone: Tone; words: string } | undefined {
  const interval = intervalOf(doc, doc.text(`${objective}/objective`) ?? "");
  const bound = doc.number(`${objective}/bound`);
  if (interval === undefined || bound === undefined) return undefined;
  const low = doc.number(`${interval}/low`) ?? 0;
  const high = doc.number(`${interval}/high`) ?? 0;
  const upper = doc.text(`${objective}/unit`) === "s";
  if (upper ? high <= bound : low >= bound) return { tone: "good", words: "the whole interval meets it" };
  if (upper ? low > bound : high < bound) return { tone: "bad", words: "the whole interval misses it" };
  return { tone: "warn", words: "the interval crosses the bound" };
}

interface Bound {
  path: string;
  /** The workload class whose objective it is. */
  owner?: string;
}

/** Of all requests together, then of single classes. */
function allObjectives(doc: Doc): Bound[] {
  return [...doc.children("/objectives").map((path) => ({ path })), ...doc.children("/classes").flatMap((owner) => doc.children(`${owner}/objectives`).map((path) => ({ path, owner })))];
}

function className(v: Values, { owner }: Bound): Child {
  return owner !== undefined && [v.text(`${owner}/name`), ": "];
}

function objectiveLine(v: Values, bound: Bound): HTMLElement {
  const { doc } = v;
  const { path } = bound;
  const latency = doc.text(`${path}/unit`) === "s";
  const unit = latency ? "s" : /token/.test(doc.text(`${path}/objective`) ?? "") ? "tokens_per_s" : "requests_per_s";
  const met = doc.flag(`${path}/met`) === true;
  return el("li", {}, el("span", { class: `badge ${met ? "good" : "bad"}` }, met ? "met" : "not met"), " ", className(v, bound), statisticName(doc.text(`${path}/objective`) ?? ""), " ",
    v.num(`${path}/value`, unit), latency ? ", at most " : ", at least ", v.num(`${path}/bound`, unit));
}

function purchase(v: Values): Child {
  const { doc } = v;
  if (doc.has("/plan/best/gpus")) return [v.num("/plan/best/gpus", "count"), " × ", v.text("/hardware/gpu")];
  if (!doc.has("/hardware")) return [v.num("/scenario/cluster/gpus", "gpus"), " ", v.text("/scenario/cluster/gpu")];
  if (twoKinds(v)) return [v.num("/hardware/gpus", "count"), " GPUs (prefill: ", v.text("/hardware/prefill_pool/gpu"), ", decode: ", v.text("/hardware/gpu"), ")"];
  return [v.num("/hardware/gpus", "count"), " × ", v.text("/hardware/gpu")];
}

/** Whether prefill stands on other GPUs than decode. */
function twoKinds(v: Values): boolean {
  return v.doc.has("/hardware/prefill_pool") && v.doc.text("/hardware/prefill_pool/gpu") !== v.doc.text("/hardware/gpu");
}

/** Headline and tone: what to do, in one sentence. */
function verdict(v: Values): { tone: Tone; words: Child } {
  const { doc } = v;
  if (doc.has("/plan") && !doc.has("/plan/best")) return { tone: "bad", words: ["Buy nothing yet: no deployment of the searched ones meets the objectives. ", doc.has("/plan/no_plan") && v.text("/plan/no_plan")] };
  if (doc.flag("/memory/fits") === false) return { tone: "bad", words: ["Do not buy ", purchase(v), ": the model does not fit, ", v.num("/memory/missing_bytes"), " are missing per GPU."] };
  if (!doc.has("/latency")) return { tone: "", words: [purchase(v), ": it fits; nothing was simulated."] };
  const objectives = allObjectives(doc);
  const missed = objectives.filter(({ path }) => doc.flag(`${path}/met`) !== true);
  const first = missed[0];
  if (first !== undefined) {
    return { tone: "bad", words: ["Do not buy ", purchase(v), " for this load: ", missed.map((one, i) => [i > 0 && ", ", className(v, one), statisticName(doc.text(`${one.path}/objective`) ?? "")]), " misses its objective",
      doc.flag("/throughput/saturated") === true && " (saturated)", "."] };
  }
  if (doc.flag("/throughput/saturated") === true) return { tone: "warn", words: [purchase(v), " is saturated: more load is offered than served."] };
  if (objectives.length === 0) return { tone: "", words: [purchase(v), " carries this load; no objectives were stated."] };
  // A best estimate that more likely than not fails is no "met".
  const probability = doc.first("/plan/probability_met", "/uncertainty/probability_met");
  if (probability !== undefined && (doc.number(probability) ?? 1) < 0.5) {
    return { tone: "warn", words: [purchase(v), " meets all objectives by the best estimate, but only with a probability of ", v.num(probability, "share"), "."] };
  }
  const unsure = objectives.some(({ path, owner }) => owner === undefined && certainty(doc, path)?.tone === "warn");
  return { tone: unsure ? "warn" : "good", words: ["Buy ", purchase(v), ": all objectives are met", unsure ? ", though not over the whole interval." : "."] };
}

function buyCard(v: Values): HTMLElement {
  const { doc } = v;
  const at = (key: string): string => doc.first(`/plan/best/${key}`, `/hardware/${key}`) ?? `/hardware/${key}`;
  const parallel = doc.children("/scenario/deployment/parallel").filter((path) => (doc.number(path) ?? 1) > 1)
    .map((path) => [path.slice(path.lastIndexOf("/") + 1).replace("_", " "), " ", v.num(path, "count")]);
  return el("div", { class: "card" }, el("h3", {}, "Buy"), el("p", { class: "big" }, purchase(v)),
    el("p", {}, "in ", v.num(at("nodes"), "count"), " × ", v.text("/hardware/node"), ", to run ", v.text("/hardware/model"), " on ", v.text("/hardware/engine"), ": ",
      v.num(at("replicas"), "count"), doc.number(at("replicas")) === 1 ? " replica of " : " replicas of ", v.num("/hardware/gpus_per_replica", "gpus"),
      doc.has("/hardware/prefill_pool") && !doc.has("/plan/best") && [" that decode, ", v.num("/hardware/prefill_pool/replicas", "count"), " of ", v.num("/hardware/prefill_pool/gpus_per_replica", "gpus"), " that prefill"],
      (doc.number("/plan/best/spare_replicas") ?? 0) > 0 && [" each, ", v.num("/plan/best/spare_replicas", "count"), " of them spare"],
      parallel.length > 0 && [" (", parallel.map((one, i) => [i > 0 && ", ", one]), ")"],
      ", weights ", v.text("/scenario/deployment/precision/weights"), ", KV cache ", v.text("/scenario/deployment/precision/kv_cache"), "."),
    doc.number("/plan/extra_gpus_95") !== undefined && el("p", {}, "To be sure at 95 %, add ", v.num("/plan/extra_gpus_95", "gpus"), "."),
    doc.at("/plan/extra_gpus_95") === null && doc.has("/plan/advice_95") && el("p", {}, "To be sure at 95 %: ", v.text("/plan/advice_95"), "."),
    doc.at("/plan/extra_gpus_95") === null && !doc.has("/plan/advice_95") && doc.number("/plan/probability_met") !== undefined && el("p", {}, "Not even four times the replicas make it sure at 95 %."));
}

/** What a token costs and takes under one load of a plan. */
function atLoad(v: Values, path: string, load: string): Child {
  const { doc } = v;
  const factor = doc.number(`${path}/load_factor`);
  return el("p", {}, load, factor !== undefined && factor !== 1 && [" (", v.num(`${path}/load_factor`, "ratio"), " the workload's)"], ": ",
    doc.number(`${path}/usd_per_million_output_tokens`) !== undefined && [v.num(`${path}/usd_per_million_output_tokens`, "usd"), " per million output tokens"],
    doc.number(`${path}/usd_per_request`) !== undefined && [", ", v.num(`${path}/usd_per_request`, "usd"), " per request"],
    doc.number(`${path}/power_w`) !== undefined && [", ", v.num(`${path}/power_w`, "w"), " at the plugs"],
    doc.number(`${path}/site_power_w`) !== undefined && [" and ", v.num(`${path}/site_power_w`, "w"), " with PUE"],
    doc.number(`${path}/joules_per_output_token`) !== undefined && [": ", v.num(`${path}/joules_per_output_token`, "joules"), " per output token"], ".");
}

function costCard(v: Values): Child {
  const { doc } = v;
  if (doc.has("/plan/best/cost")) {
    const factor = doc.number("/plan/best/cost/at_mean_load/load_factor");
    const differs = factor !== undefined && (factor !== doc.number("/plan/best/cost/load_factor") || (doc.number("/plan/best/spare_replicas") ?? 0) > 0);
    return el("div", { class: "card" }, el("h3", {}, "Cost"), el("p", { class: "big" }, v.num("/plan/best/cost/usd_per_hour", "usd_per_h")),
      atLoad(v, "/plan/best/cost", "At the load it is sized for"),
      differs && atLoad(v, "/plan/best/cost/at_mean_load", "At the mean load of the period, all replicas up"),
      doc.has("/cost/per_gpu_hour_usd") && el("p", {}, v.num("/cost/per_gpu_hour_usd"), " per GPU."));
  }
  if (!doc.has("/cost")) return undefined;
  return el("div", { class: "card" }, el("h3", {}, "Cost"), el("p", { class: "big" }, v.num("/cost/per_hour_usd")),
    el("p", {}, v.num("/cost/per_gpu_hour_usd"), " per GPU", doc.number("/cost/per_million_output_tokens_usd") !== undefined && ["; ", v.num("/cost/per_million_output_tokens_usd"), " per million output tokens"], "."));
}

function objectivesCard(v: Values): Child {
  const objectives = allObjectives(v.doc);
  if (objectives.length === 0) return undefined;
  return el("div", { class: "card" }, el("h3", {}, "Objectives"), el("ul", { class: "plain-list" }, objectives.map((bound) => objectiveLine(v, bound))));
}

function confidenceCard(v: Values): HTMLElement {
  const { doc } = v;
  const lines: Child[] = [];
  const probability = doc.first("/plan/probability_met", "/uncertainty/probability_met");
  if (probability !== undefined && doc.number(probability) !== undefined) lines.push(el("li", {}, "Probability that all objectives are met: ", el("strong", {}, v.num(probability, "share")), "."));
  for (const path of doc.children("/objectives")) {
    const key = doc.text(`${path}/objective`) ?? "";
    const interval = intervalOf(doc, key);
    const sure = certainty(doc, path);
    if (interval === undefined || sure === undefined) continue;
    const unit = doc.text(`${path}/unit`) === "s" ? "s" : /token/.test(key) ? "tokens_per_s" : "requests_per_s";
    lines.push(el("li", {}, el("span", { class: `badge ${sure.tone}` }, sure.words), " ", statisticName(key), " lies between ", v.num(`${interval}/low`, unit), " and ", v.num(`${interval}/high`, unit),
      " (", v.num(`${interval}/level`, "share"), " interval)"));
  }
  if (lines.length === 0) lines.push(el("li", {}, doc.has("/latency") ? "A single prediction without an interval: run with --uncertainty to get one." : "Memory is computed, not simulated."));
  if (originShares(doc) !== "") {
    const shares = doc.children("/provenance/step_time_share").filter((path) => (doc.number(path) ?? 0) >= 0.0005)
      .sort((a, b) => (doc.number(b) ?? 0) - (doc.number(a) ?? 0));
    lines.push(el("li", {}, "Kernel times are ", shares.map((path, i) => [i > 0 && ", ", v.num(path, "share"), " ", path.slice(path.lastIndexOf("/") + 1)]), "."));
  }
  if (doc.has("/anchors/rows")) lines.push(el("li", {}, "Corrected by ", v.count("/anchors/rows"), " measured values of this deployment."));
  const warnings = doc.keys("/warnings").length;
  if (warnings > 0) lines.push(el("li", {}, el("a", { href: "#warnings" }, v.count("/warnings"), warnings === 1 ? " warning" : " warnings"), " below."));
  return el("div", { class: "card" }, el("h3", {}, "How sure"), el("ul", { class: "plain-list" }, lines));
}

export function decision(v: Values): HTMLElement {
  const { tone, words } = verdict(v);
  const main = mainAssumptions(v);
  return el("section", { id: "decision", "aria-labelledby": "decision-title" },
    el("div", { class: `verdict ${tone}` }, el("h2", { id: "decision-title", class: "headline" }, words)),
    el("div", { class: "cards" }, buyCard(v), costCard(v), objectivesCard(v), confidenceCard(v),
      main.lines.length > 0 && el("div", { class: "card" }, el("h3", {}, "Two assumptions that matter most"), el("ol", {}, main.lines.map((line) => el("li", {}, line))), el("p", { class: "soft" }, main.how))));
}
