// VRAM of the fullest GPU, stacked by what it holds.
import { boundLine, figure, nameAxis, valueAxis } from "../chart";
import { el } from "../dom";
import { format, formatTick } from "../units";
import { leaf } from "../json";
import type { Values } from "../numbers";
import { sectionOf, type Section } from "../section";
import { table } from "../table";
import { capital, plain } from "../words";

const kParts = ["attention_bytes", "dense_ffn_bytes", "shared_experts_bytes", "experts_bytes", "embedding_bytes", "head_bytes", "router_bytes", "norms_bytes", "adapters_bytes"];
const kRest = ["kv_cache_bytes", "activations_bytes", "runtime_bytes", "free_bytes"];
const kColours: Record<string, string> = {
  attention_bytes: "var(--c0)", dense_ffn_bytes: "var(--c3)", shared_experts_bytes: "var(--c2)", experts_bytes: "var(--c1)", embedding_bytes: "var(--c4)", head_bytes: "var(--c5)",
  kv_cache_bytes: "var(--c6)", activations_bytes: "var(--c2)", runtime_bytes: "var(--c7)", free_bytes: "var(--rule)",
};
const kNames: Record<string, string> = {
  experts_bytes: "routed experts", kv_cache_bytes: "KV cache", head_bytes: "LM head", dense_ffn_bytes: "dense FFN", runtime_bytes: "engine runtime", free_bytes: "kept free",
};

export function memorySection(v: Values): Section | undefined {
  const { doc } = v;
  if (!doc.has("/memory/per_gpu")) return undefined;
  const paths = [
    ...kParts.map((key) => `/memory/weights_by_component/${key}`),
    ...(doc.has("/memory/weights_by_component") ? [] : ["/memory/per_gpu/weights_bytes"]),
    ...kRest.map((key) => `/memory/per_gpu/${key}`),
  ].filter((path) => (doc.number(path) ?? 0) > 0);
  const nameOf = (path: string): string => {
    const key = leaf(path);
    const name = kNames[key] ?? plain(key);
    return path.includes("weights_by_component") ? `weights: ${name}` : name;
  };
  const capacity = doc.number("/memory/per_gpu/capacity_bytes") ?? 0;
  const fits = doc.flag("/memory/fits") !== false;
  const chart = figure({
    id: "memory", title: "Memory of the fullest GPU, by content", height: 134,
    caption: ["Everything left of the dashed line fits into the ", v.num("/memory/per_gpu/capacity_bytes"), " of one GPU. ",
      fits ? ["The KV cache holds ", v.num("/memory/kv_capacity_tokens", "tokens"), " per replica: more room means more requests at once."]
           : [v.num("/memory/missing_bytes"), " are missing per GPU: this does not fit."]],
    option: {
      grid: { left: 8, right: 40, top: 24, bottom: 26, containLabel: true },
      tooltip: { trigger: "item", valueFormatter: (value) => format(Number(value), "bytes") },
      xAxis: valueAxis("bytes on one GPU", "bytes", { max: (range: { max: number }) => Math.max(range.max, capacity * 1.02), nameGap: 26, axisLabel: { color: "var(--fg)", showMaxLabel: false, formatter: (value: number) => formatTick(value, "bytes") } }),
      yAxis: nameAxis([""]),
      series: paths.map((path, i) => ({
        type: "bar" as const, name: nameOf(path), stack: "all", barWidth: 44, itemStyle: { color: kColours[leaf(path)] ?? "var(--c7)", opacity: /router|norms|adapters/.test(path) ? 0.5 : 1 },
        data: [v.point(path)], ...(i === 0 ? { markLine: boundLine("xAxis", capacity, "capacity") } : {}),
      })),
    },
    table: () => table("Bytes on the fullest GPU", [{ name: "content" }, { name: "size", number: true }],
      [...paths.map((path) => [capital(nameOf(path)), v.num(path)]), ["Capacity", v.num("/memory/per_gpu/capacity_bytes")]]),
  });
  const facts = el("ul", { class: "plain-list" },
    doc.has("/memory/parameters") && el("li", {}, "Parameters: ", v.num("/memory/parameters/total", "parameters"), " in all, ", v.num("/memory/parameters/active", "parameters"), " active per token."),
    doc.has("/memory/prefill_pool/per_gpu") && el("li", {}, "The figure is of the decode pool. The fullest GPU of the prefill pool has ", v.num("/memory/prefill_pool/per_gpu/capacity_bytes"), ": weights ",
      v.num("/memory/prefill_pool/per_gpu/weights_bytes"), ", KV cache ", v.num("/memory/prefill_pool/per_gpu/kv_cache_bytes"), " (", v.num("/memory/prefill_pool/kv_capacity_tokens", "tokens"), " per replica)."),
    el("li", {}, "Weights: ", v.num("/memory/per_gpu/weights_bytes"), (doc.number("/memory/per_gpu/experts_bytes") ?? 0) > 0 && [", of which routed experts ", v.num("/memory/per_gpu/experts_bytes")], "."));
  return sectionOf("memory", "Memory: does it fit?", chart, facts);
}
