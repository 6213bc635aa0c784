// Results too large or too slow to compute in a test, in the shape that the commands write: a plan with hundreds of candidates, a comparison
// of four, a validation of 1,865 runs. Their numbers are arbitrary but irregular, so that a swapped pair shows.

/** Numbers in [0, 1) that are always the same. */
function stream(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const kGpus = ["h100-sxm", "h200-sxm", "b200-sxm", "mi300x", "l40s"];
const kModels = ["mixtral-8x7b", "deepseek-r1", "qwen3-235b-a22b", "gpt-oss-120b", "llama-3.1-70b", "glm-4.5", "kimi-k2", "olmoe-1b-7b", "dbrx", "qwen3-30b-a3b", "llama-3.1-8b", "minimax-m2"];

function candidate(i, random, planned) {
  const gpus = 2 ** (1 + (i % 4));
  const out = {
    id: `candidate ${i}`, model: kModels[i % 4], gpu: kGpus[i % kGpus.length], node: "hgx-h100", engine: "vllm", gpus_per_replica: gpus,
    parallel: { tensor: gpus, pipeline: 1, expert: 1, attention_data: 1 }, precision: { weights: "fp8", experts: "fp8", kv_cache: "bf16" },
    scheduler: { max_batch_requests: 256, max_batch_tokens: 8192 },
    memory: { fits: planned, missing_bytes: planned ? 0 : 1234567 + i, per_gpu_free_bytes: 5e9 + i, weights_bytes: 4e10 + i, kv_cache_bytes: 2e10 + i, kv_capacity_tokens: 100000 + i },
  };
  if (!planned) return out;
  const quantiles = (scale) => ({ mean: scale * (1 + random()), p50: scale * (1 + random()), p90: scale * (2 + random()), p95: scale * (3 + random()), p99: scale * (4 + random()), max: scale * (6 + random()) });
  return {
    ...out, replicas: 2 + (i % 3), spare_replicas: i % 2, gpus: gpus * (2 + (i % 3)), nodes: 1 + (i % 2),
    latency: { ttft_s: quantiles(0.1), tpot_s: quantiles(0.01), e2e_s: quantiles(2) },
    throughput: { requests_per_s: 10 + random(), output_tokens_per_s: 2000 + 900 * random(), total_tokens_per_s: 9000 * (1 + random()), output_tokens_per_s_per_gpu: 300 * (1 + random()), offered_per_s: 10 },
    utilisation: random(), simulated_requests: 2000, cost: { load_factor: 1.7, usd_per_hour: 20 + 100 * random(), usd_per_million_output_tokens: 0.5 + random(), usd_per_request: 0.001 * (1 + random()), joules_per_output_token: 3 * (1 + random()), at_mean_load: { load_factor: 1, usd_per_hour: 21, usd_per_million_output_tokens: 0.9 + random(), usd_per_request: 0.002, power_w: 4000, joules_per_output_token: 6 } }, power_w: 5000 * (1 + random()), load_power_w: 9000 * (1 + random()),
    objectives: [{ key: "ttft_p99", value: 0.5 * random(), bound: 2, met: true }],
  };
}

/** `base`: a simulated result. */
export function largePlan(base) {
  const random = stream(7);
  const pareto = Array.from({ length: 12 }, (_, i) => candidate(i, random, true));
  return {
    ...base,
    plan: {
      best: pareto[0], pareto,
      rejected: Array.from({ length: 300 }, (_, i) => ({ candidate: candidate(100 + i, random, false), reason: `needs ${(i * 0.37 + 1).toFixed(2)} GB more per GPU <b>than it has</b>`, kind: ["does not fit", "too slow", "too dear"][i % 3] })),
      rejections: { "does not fit": 100, "too slow": 100, "too dear": 100 }, choices: [{ model: "mixtral-8x7b", gpu: "h100-sxm", candidates: 20, best: "candidate 0", usd_per_hour: 31.5 }, { model: "mixtral-8x7b", gpu: "l40s", candidates: 30, problem: "does not fit" }],
      candidates: 312, evaluated: 57, exhausted: true, probability_met: 0.93, extra_gpus_95: 4, objectives: [{ key: "ttft_p99", unit: "s", bound: 2 }],
      load: { mean_factor: 1, peak_factor: 1.7, trough_factor: 0.4, months: 12 },
      headroom: { load_share: 1.31, load_share_is_lower_bound: false, months: [{ month: 1, peak_factor: 1.1, replicas: 3 }, { month: 12, peak_factor: 1.7, replicas: 5 }], assumptions: [{ text: "prompts half as long again", serving_replicas: 4 }] },
      assumptions: ["prompts half as long again: 4 serving replicas instead of 3", "price of h100-sxm: 12 % more per hour, and candidate 3 costs no more"],
    },
  };
}

export function comparisonOfFour(base) {
  const random = stream(11);
  const names = ["Mixtral 8x7B, two H100", "DeepSeek-R1, eight H200", "Qwen3 235B, eight MI300X", "Llama 3.1 70B, four H100"];
  const loads = [1, 2, 4, 8, 16, 32];
  const curve = () => loads.map((load) => ({
    offered_per_s: load * (1 + 0.01 * random()), requests_per_s: load, output_tokens_per_s: 250 * load * (0.9 + 0.1 * random()), ttft_p50_s: 0.1 + 0.01 * load * random(), ttft_p99_s: 0.2 + 0.02 * load * random(),
    tpot_p50_s: 0.02 + 0.001 * load, tpot_p99_s: load === 1 ? null : 0.03 + 0.002 * load * random(), e2e_mean_s: 5 + random(), gpu_busy: random(), saturated: load > 16, within_objectives: load < 16,
  }));
  const row = (name, i) => ({
    name, model: kModels[i], moe: i < 3, gpu: kGpus[i], engine: "vllm", gpus: 2 ** (i + 1), replicas: 1, fits: true, stored: false, weights_bytes: 9.3e10 * (1 + random()), weights_bytes_per_gpu: 4e10 * (1 + random()),
    parameters: { total: 4.67e10 * (1 + i), active: 1.29e10 * (1 + i) }, flops_per_token: i === 1 ? null : 2.5e10 * (1 + random()), batch1_ttft_s: 0.05 * (1 + random()), batch1_tpot_s: 0.01 * (1 + random()), offered_per_s: 8, requests_per_s: 8 * random(),
    output_tokens_per_s: 2000 * random(), ttft_p50_s: 0.1 + random(), ttft_p99_s: 0.5 + random(), tpot_p50_s: 0.02 * (1 + random()), tpot_p99_s: 0.05 * (1 + random()), saturated: i === 2, objectives_met: i !== 2,
    saturation_requests_per_s: 20 * (1 + random()), saturation_tokens_per_s: 5000 * (1 + random()), capacity_per_s: 15 * (1 + random()), usd_per_hour: 6 * 2 ** i, usd_per_million_output_tokens: 0.8 * (1 + random()),
    usd_per_million_output_tokens_at_capacity: 0.3 * (1 + random()), joules_per_output_token: 1.5 * (1 + random()), joules_per_output_token_at_capacity: 0.8 * (1 + random()), price_source: "stated",
    needed: { deployments: 1 + i, usd_per_hour: 6 * 2 ** i * (1 + i), usd_per_million_output_tokens: 0.9 * (1 + random()) }, quality: 60 + 5 * i, usd_per_million_output_tokens_per_quality: 0.01 * (1 + random()),
  });
  return {
    ...base,
    comparison: {
      scenarios: names.map(row), load_curves: names.map(curve),
      sensitivity: [{ parameter: "batch", metric: "tpot_s", text: "step time against batch", values: [1, 8, 64, 256], by_scenario: names.map(() => [0.01 + random() / 100, 0.02 + random() / 100, 0.03 + random() / 100, null]) }],
      crossings: [{ what: "cost", metric: "usd_per_million_output_tokens", between: [0, 3], at: 7.5, unit: "/s", better_above: 3, text: "below 7.5 requests/s Mixtral is cheaper per token, above it Llama" }],
      differences: [{ path: "/model", values: ["mixtral-8x7b", "deepseek-r1", "qwen3-235b-a22b", "llama-3.1-70b"] }, { path: "/deployment/parallel", values: ['{"tensor":2}', '{"tensor":8}', '{"tensor":8}', '{"tensor":4}'] }],
      effects: [], same_workload: true, load_per_s: 8, verdict: { text: "Mixtral 8x7B on two H100 is the cheapest that meets the objectives at 8 requests/s.", flips: ["above 7.5 requests/s Llama is cheaper per token"] }, notes: ["one price is stated, not looked up"],
    },
  };
}

export function validationOf1865() {
  const random = stream(13);
  const metrics = ["tpot", "ttft", "itl", "output_tok_s"];
  const statistics = () => ({ count: 10 + Math.floor(900 * random()), median_ape: 0.1 * random(), p90_ape: 0.2 + 0.3 * random(), bias: 0.2 * random() - 0.1, within_10pct: 0.5 * random(), within_25pct: 0.5 + 0.4 * random() });
  const table = () => Object.fromEntries(metrics.map((metric) => [metric, statistics()]));
  const tables = (names) => Object.fromEntries(names.map((name) => [name, table()]));
  const rows = Array.from({ length: 1865 }, (_, i) => {
    const measured = 10 ** (3 * random());
    const error = (random() + random() + random() - 1.5) * 0.4;
    const predicted = measured * (1 + error);
    return {
      id: `run-${i}`, suite: ["online", "sweep", "offline/long"][i % 3], model: kModels[i % 12], gpu: kGpus[i % 5], gpus: 8, engine: ["vllm", "sglang", "trtllm"][i % 3], mode: "closed", kind: i % 4 === 0 ? "dense" : "moe",
      metric: metrics[i % 4], measured, predicted, error: (predicted - measured) / measured, low: predicted * 0.85, high: predicted * 1.2, scored: i % 20 !== 0, likely_cause: i % 7 === 0 ? "prefill batched differently" : "spread of the engine's host time",
    };
  });
  return {
    runs: 1865, scored: 1771, refused: [{ id: "run-x", why: "precision mxfp4 is not supported by the GPU" }], metrics: table(), by_kind: tables(["dense", "moe"]), by_gpu: tables(kGpus), by_model: tables(kModels),
    by_engine: tables(["vllm", "sglang", "trtllm"]), by_mode: tables(["closed", "open"]), by_suite: tables(["online", "sweep", "offline/long"]), by_suite_kind: tables(["online/moe", "sweep/moe", "offline/long/dense"]),
    coverage: { level: 0.8, share: 0.783, count: 1771, by_metric: Object.fromEntries(metrics.map((metric) => [metric, { share: 0.6 + 0.3 * random(), count: 400 }])), by_kind: { moe: { share: 0.77, count: 900 }, dense: { share: 0.81, count: 871 } }, by_metric_kind: { "tpot/moe": { share: 0.8125, count: 300 } } },
    left_out: { metrics: table() }, unscored: [{ id: "run-0", why: "suspect: prefill of another batch" }], anchors: [], rows,
  };
}

/** Adds the sections that a single scenario may also have: intervals, sensitivities, expert load, links, load curve. */
export function fullResult(base) {
  const random = stream(17);
  const loads = [1, 2, 4, 8, 12, 16];
  const interval = (value) => ({ low: value * 0.8, high: value * 1.3, level: 0.8 });
  return {
    ...base,
    intervals: { "ttft.p99": interval(base.latency.ttft_s.p99), "tpot.p99": interval(base.latency.tpot_s.p99), "throughput.output_tokens_per_s": interval(base.throughput.output_tokens_per_s) },
    uncertainty: {
      samples: 200, method: "latin_hypercube", level: 0.8, probability_met: 0.97,
      inputs: [{ name: "kernel speed", kind: "calibration", low: 0.9, high: 1.15, source: "residuals of the fits" }, { name: "arrival rate", kind: "workload", low: 0.8, high: 1.25, source: "stated range" }, { name: "popularity skew", kind: "routing", low: 0.1, high: 0.6, source: "recorded routings" }],
      sensitivity: Object.fromEntries(["ttft.p99", "tpot.p99", "throughput.output_tokens_per_s"].map((metric, i) => [metric, ["kernel speed", "arrival rate", "popularity skew"].map((input, j) => ({ input, low_value: (0.1 + random()) * 10 ** (i === 2 ? 3 : -1), high_value: (0.2 + j + random()) * 10 ** (i === 2 ? 3 : -1) }))])),
    },
    experts: {
      ...base.experts, imbalance_share: 0.083, load: { layers: [0, 10, 20, 31], by_layer: Array.from({ length: 4 }, () => Array.from({ length: 64 }, () => 0.2 + 2 * random())) },
      placement: { kind: "balanced", redundant: 2, rank_load: Array.from({ length: 8 }, () => 0.8 + 0.5 * random()) }, dropped_token_share: 0.012,
    },
    network: {
      ...base.network, exposed_communication_share: 0.12, exposed_communication_s: { decode: 0.0012, prefill: 0.0034 }, hidden_communication_s: { decode: 0.0005, prefill: 0.0004 }, slowdown: 1.07,
      links: Array.from({ length: 6 }, (_, i) => ({ name: `nvlink of GPU ${i}`, kind: "scale_up", capacity_bytes_per_s: 4.5e11, utilisation_mean: 0.3 * random(), utilisation_p50: 0.3 * random(), utilisation_p99: 0.5 + 0.4 * random() })),
    },
    load_curve: loads.map((load) => ({ offered_per_s: load, requests_per_s: Math.min(load, 13), output_tokens_per_s: 250 * Math.min(load, 13), ttft_p50_s: 0.1 * load, ttft_p99_s: 0.3 * load, tpot_p50_s: 0.01 * load, tpot_p99_s: 0.02 * load, saturated: load > 13 })),
    knee: { offered_per_s: 13.1, saturation_requests_per_s: 13.6 },
    prefix_cache: { hit_rate: 0.42, saved_tokens: 123456 },
  };
}
