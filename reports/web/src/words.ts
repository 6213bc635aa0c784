// Names of keys as people read them.

const kMetrics: Record<string, string> = {
  ttft: "TTFT", tpot: "TPOT", itl: "ITL", e2e: "End to end", queue: "Queueing",
  output_tok_s: "Output tokens/s", output_tokens_per_s: "Output tokens/s", requests_per_s: "Requests/s", usd_per_million_output_tokens: "Cost per million output tokens", goodput: "Goodput",
};

const kMetricHelp: Record<string, string> = {
  ttft: "time to first token",
  tpot: "time per output token, after the first",
  itl: "single gaps between tokens",
  e2e: "from arrival to the last token",
  queue: "from arrival to first scheduled",
};

const kOperations: Record<string, string> = {
  dense_gemm: "dense GEMM", attention: "attention", experts: "experts", router: "router", elementwise: "element-wise", lm_head: "LM head",
  all_reduce: "all-reduce", all_to_all: "all-to-all", pipeline: "pipeline transfer", host: "host", weight_stream: "weight streaming", imbalance: "imbalance",
};

export function operationName(key: string): string {
  return kOperations[key] ?? plain(key);
}

/** "ttft" or "ttft_s": "TTFT". */
export function metricName(key: string): string {
  return kMetrics[key] ?? kMetrics[key.replace(/_s$/, "")] ?? plain(key);
}

export function metricHelp(key: string): string | undefined {
  return kMetricHelp[key.replace(/_s$/, "")];
}

/** "ttft_p99", "ttft.p99": "TTFT p99". */
export function statisticName(key: string): string {
  const parts = /^(.*?)[._](mean|max|min|p[\d.]+)$/.exec(key);
  if (parts?.[1] !== undefined && parts[2] !== undefined) return `${metricName(parts[1])} ${parts[2]}`;
  return metricName(key.replace(/^throughput\./, ""));
}

/** A key without its unit and underscores. */
export function plain(key: string): string {
  return key.replace(/_(s|bytes|usd|w)$/, "").replace(/[_.]/g, " ");
}

/** Percentiles stay small: p99. */
export function capital(text: string): string {
  return /^p\d/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1);
}
