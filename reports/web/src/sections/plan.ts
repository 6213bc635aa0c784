// What the search looked at: the cheapest, the alternatives worth having, and why the others were turned down.
import { colour, figure, valueAxis } from "../chart";
import { el, type Child } from "../dom";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { scrolling, searchable, table } from "../table";
import { format } from "../units";
import { capital } from "../words";
import { block } from "./other";

/** Where a candidate keeps a quantity, in order of preference. */
const kCost = ["cost/usd_per_hour", "cost/per_hour_usd"];
const kPerMillion = ["cost/usd_per_million_output_tokens", "cost/per_million_output_tokens_usd"];
const kTtft = ["latency/ttft_s/p99"];
const kTpot = ["latency/tpot_s/p99"];
const kTokens = ["throughput/output_tokens_per_s"];

function place(v: Values, candidate: string, keys: string[]): string {
  return v.doc.first(...keys.map((key) => `${candidate}/${key}`)) ?? `${candidate}/${keys[0] ?? ""}`;
}

/** "8 × h200-sxm, fp8, tensor 8". */
function nameOf(v: Values, candidate: string): string {
  const { doc } = v;
  const layout = doc.keys(`${candidate}/parallel`).filter((key) => (doc.number(`${candidate}/parallel/${key}`) ?? 1) > 1).map((key) => `${key.replace("_", " ")} ${doc.number(`${candidate}/parallel/${key}`) ?? ""}`);
  return [`${doc.number(`${candidate}/gpus`) ?? doc.number(`${candidate}/gpus_per_replica`) ?? ""} × ${doc.text(`${candidate}/gpu`) ?? "?"}`, doc.text(`${candidate}/precision/weights`), ...layout].filter((part) => part !== undefined && part !== "").join(", ");
}

function described(v: Values, candidate: string): Child {
  const { doc } = v;
  const layout = doc.children(`${candidate}/parallel`).filter((path) => (doc.number(path) ?? 1) > 1);
  return [v.num(doc.first(`${candidate}/gpus`, `${candidate}/gpus_per_replica`) ?? `${candidate}/gpus`, "count"), " × ", v.text(`${candidate}/gpu`), doc.has(`${candidate}/precision/weights`) && [", ", v.text(`${candidate}/precision/weights`)],
    layout.map((path) => [`, ${path.slice(path.lastIndexOf("/") + 1).replace("_", " ")} `, v.num(path, "count")]),
    doc.has(`${candidate}/prefill`) && ["; prefill apart: ", doc.has(`${candidate}/prefill/replicas`) && [v.num(`${candidate}/prefill/replicas`, "count"), " × "], v.num(`${candidate}/prefill/gpus_per_replica`, "count"), " ", v.text(`${candidate}/prefill/gpu`)],
    doc.children(`${candidate}/features`).filter((path) => !["none", "off"].includes(doc.text(path) ?? "")).map((path) => [`, ${path.slice(path.lastIndexOf("/") + 1).replace("_", " ")} `, v.text(path)])];
}

/** What each feature of serving is worth: the cheapest plan with every choice of it. */
function featureTable(v: Values): Child {
  const { doc } = v;
  const rows = doc.children("/plan/features").flatMap((feature) => doc.children(`${feature}/choices`).map((choice): Child[] => [v.text(`${feature}/feature`), v.text(`${choice}/value`),
    v.num(`${choice}/gpus`, "count"), v.num(`${choice}/usd_per_hour`, "usd_per_h"), v.num(`${choice}/saves_usd_per_hour`, "usd_per_h"),
    doc.has(`${choice}/text`) ? v.text(`${choice}/text`) : doc.has(`${choice}/problem`) ? v.text(`${choice}/problem`) : "what the others are compared with"]));
  return rows.length > 0 && scrolling("What features are worth", table("What features are worth: the cheapest plan with every choice of each",
    [{ name: "feature" }, { name: "choice" }, { name: "GPUs", number: true }, { name: "cost", number: true }, { name: "saves", number: true }, { name: "in words" }], rows));
}

const kColumns = [{ name: "deployment" }, { name: "model" }, { name: "replicas", number: true }, { name: "cost", number: true }, { name: "per million output tokens", number: true }, { name: "TTFT p99", number: true }, { name: "TPOT p99", number: true }, { name: "output", number: true }];

function cells(v: Values, candidate: string): Child[] {
  return [described(v, candidate), v.text(`${candidate}/model`), v.num(`${candidate}/replicas`, "count"), v.num(place(v, candidate, kCost), "usd_per_h"), v.num(place(v, candidate, kPerMillion), "usd"),
    v.num(place(v, candidate, kTtft), "s"), v.num(place(v, candidate, kTpot), "s"), v.num(place(v, candidate, kTokens), "tokens_per_s")];
}

function keys(v: Values, candidate: string): (string | number)[] {
  const value = (list: string[]): number => v.doc.number(place(v, candidate, list)) ?? Infinity;
  return [nameOf(v, candidate), v.doc.text(`${candidate}/model`) ?? "", v.doc.number(`${candidate}/replicas`) ?? 0, value(kCost), value(kPerMillion), value(kTtft), value(kTpot), value(kTokens)];
}

function paretoChart(v: Values, pareto: string[], best: string | undefined): Child {
  const groups = [{ name: "worth having", paths: pareto }, ...(best !== undefined ? [{ name: "chosen", paths: [best] }] : [])]
    .map(({ name, paths }) => ({ name, paths: paths.filter((path) => v.doc.number(place(v, path, kCost)) !== undefined && v.doc.number(place(v, path, kTpot)) !== undefined) }));
  if ((groups[0]?.paths.length ?? 0) < 2) return undefined;
  return figure({
    id: "pareto", title: "Deployments that nothing beats on all counts", height: 330,
    caption: "Down is faster, left is cheaper: to the right of the chosen one, money buys speed or reserve; nothing lies below and left of the points.",
    option: {
      grid: { left: 34, right: 44, top: 14, bottom: 26, containLabel: true },
      tooltip: { formatter: (item: unknown) => {
        const { data } = item as { data: { value: [number, number]; candidate: string } };
        return `${nameOf(v, data.candidate)}<br>${format(data.value[0], "usd_per_h")}<br>TPOT p99 <strong>${format(data.value[1], "s")}</strong>`;
      } },
      xAxis: valueAxis("cost, USD per hour", "usd_per_h", { scale: true, nameGap: 26 }), yAxis: valueAxis("TPOT p99", "s", { scale: true, nameGap: 66 }),
      series: groups.map(({ name, paths }, i) => ({
        type: "scatter" as const, name, symbolSize: i === 0 ? 11 : 18, symbol: i === 0 ? "circle" : "diamond", itemStyle: { color: colour(i) },
        data: paths.map((path) => { const [x, y] = [place(v, path, kCost), place(v, path, kTpot)]; return { value: [v.doc.number(x) ?? null, v.doc.number(y) ?? null], paths: [x, y], candidate: path }; }) as never,
      })),
    },
    table: () => table("Alternatives", kColumns, pareto.map((path) => cells(v, path))),
  });
}

export function planSection(v: Values): Section | undefined {
  const { doc } = v;
  if (!doc.has("/plan")) return undefined;
  const pareto = doc.children("/plan/pareto");
  const best = doc.has("/plan/best") ? "/plan/best" : undefined;
  const exhausted = doc.flag("/plan/exhausted");
  const intro = el("p", {}, doc.number("/plan/evaluated") !== undefined && ["Simulated ", v.num("/plan/evaluated", "count"), " deployments", doc.number("/plan/candidates") !== undefined && [" of ", v.num("/plan/candidates", "count"), " possible ones"], ". "],
    exhausted === true ? "The search space was searched to its end." : exhausted === false && "The search stopped at its time budget: a cheaper deployment may exist.");
  const choices = doc.children("/plan/choices");
  const choiceTable = choices.length > 0 && scrolling("Best of each model and GPU", table("The best of each model and GPU, or what stands against it", [{ name: "model" }, { name: "GPU" }, { name: "cost", number: true }, { name: "best deployment, or the problem" }, { name: "looked at", number: true }],
    choices.map((path) => [v.text(`${path}/model`), v.text(`${path}/gpu`), v.num(`${path}/usd_per_hour`, "usd_per_h"), v.text(doc.first(`${path}/best`, `${path}/problem`) ?? `${path}/problem`), v.num(`${path}/candidates`, "count")])));
  return sectionOf("plan", "Alternatives: what else could be bought?", intro, paretoChart(v, pareto, best), featureTable(v), choiceTable,
    pareto.length > 0 && scrolling("Alternatives", table("Deployments that nothing beats on all counts", kColumns, pareto.map((path) => cells(v, path)))));
}

export function headroomSection(v: Values): Section | undefined {
  const parts = ["headroom", "load", "reliability"].filter((key) => v.doc.has(`/plan/${key}`)).flatMap((key) => block(v, `/plan/${key}`, capital(key)));
  return sectionOf("headroom", "Headroom: how much more can it take?", parts.length > 0 && parts);
}

export function rejectedSection(v: Values): Section | undefined {
  const rejected = v.doc.children("/plan/rejected");
  if (rejected.length === 0) return undefined;
  const columns = [{ name: "deployment" }, { name: "model" }, { name: "kind" }, { name: "why not" }];
  return sectionOf("rejected", "Rejected deployments, and why", searchable("Rejected deployments", columns, rejected.map((path) => {
    const candidate = `${path}/candidate`;
    const [name = "", model = ""] = keys(v, candidate);
    return {
      cells: () => [described(v, candidate), v.text(`${candidate}/model`), v.text(`${path}/kind`), v.text(`${path}/reason`)],
      keys: [name, model, v.doc.text(`${path}/kind`) ?? "", v.doc.text(`${path}/reason`) ?? ""],
    };
  }), "deployments"));
}
