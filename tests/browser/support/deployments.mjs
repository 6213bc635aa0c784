// Ten deployments from one GPU to a rack of 72, MoE and dense, of several vendors: small runs, so that they also end soon under sanitizers.

function deployment(name, model, node, gpus, engine, layout, precision, rate, requests = 120) {
  return {
    name, model, cluster: { node, gpus },
    deployment: { engine, ...layout, precision },
    workload: {
      arrivals: { process: "poisson", rate: `${rate} /s` },
      prompt_tokens: { distribution: "uniform", low: 200, high: 800 }, output_tokens: { distribution: "uniform", low: 20, high: 120 },
      requests, warmup_requests: 10,
    },
    objectives: { ttft_p99: "2 s", tpot_p99: "60 ms" },
    cost: { rental: "3 USD/h" },
  };
}

const bf16 = { weights: "bf16", experts: "bf16", kv_cache: "bf16" };
const fp8 = { weights: "fp8", experts: "fp8", kv_cache: "bf16" };
const block = { weights: "fp8_block", experts: "fp8_block", kv_cache: "bf16" };

export const kDeployments = [
  deployment("OLMoE on one L4", "olmoe-1b-7b", "1x-l4", 1, "vllm", {}, bf16, 2),
  deployment("Llama 3.1 8B on one RTX 4090", "llama-3.1-8b", "1x-rtx-4090", 1, "vllm", {}, bf16, 2),
  deployment("gpt-oss-20b on one H100", "gpt-oss-20b", "1x-h100-sxm", 1, "vllm", {}, { weights: "bf16", experts: "mxfp4", kv_cache: "bf16" }, 8),
  deployment("Mixtral 8x7B on two H100", "mixtral-8x7b", "hgx-h100", 2, "vllm", { parallel: { tensor: 2 } }, bf16, 4),
  deployment("Mixtral 8x7B on one H100: does not fit", "mixtral-8x7b", "hgx-h100", 1, "vllm", {}, bf16, 4),
  deployment("Llama 3.1 70B on four A100", "llama-3.1-70b", "dgx-a100", 4, "vllm", { parallel: { tensor: 4 } }, bf16, 2),
  deployment("Qwen3 235B on eight MI300X", "qwen3-235b-a22b", "mi300x-8", 8, "vllm", { parallel: { tensor: 8, expert: 8 } }, bf16, 3),
  deployment("DeepSeek-R1 on eight H200", "deepseek-r1", "hgx-h200", 8, "sglang", { parallel: { tensor: 8 } }, block, 2),
  deployment("Qwen3 30B on eight B200, two replicas of four, saturated", "qwen3-30b-a3b", "hgx-b200", 8, "vllm", { replicas: 2, parallel: { tensor: 4 } }, fp8, 4000, 400),
  deployment("DeepSeek-R1 on a rack of 72 GB200", "deepseek-r1", "gb200-nvl72", 72, "sglang", { parallel: { tensor: 1, attention_data: 64, expert: 64 } }, block, 60),
];

const lengths = (value) => ({ distribution: "uniform", low: Math.ceil(value / 2), high: value });

/** What production adds: each with the charts that its page must have beside the usual ones. */
export const kFeatures = [
  {
    charts: ["classes-ttft_s", "classes-tpot_s", "accepted"],
    scenario: {
      ...deployment("Two classes with a prefix cache and drafted tokens", "deepseek-r1", "hgx-h200", 8, "sglang",
        { parallel: { tensor: 8 }, prefix_cache: true, speculation: { method: "mtp", draft_tokens: 2, acceptance: [0.85, 0.7] } }, block, 2),
      workload: {
        arrivals: { process: "poisson", rate: "2 /s" }, requests: 120, warmup_requests: 10,
        classes: [
          { name: "chat", weight: 2, prompt_tokens: lengths(600), output_tokens: lengths(80), prefix: { tokens: 256 }, objectives: { ttft_p99: "2 s" } },
          { name: "code", weight: 1, prompt_tokens: lengths(1500), output_tokens: lengths(40), objectives: { tpot_p99: "1 ms" } },
        ],
      },
    },
  },
  {
    charts: ["fleet"],
    scenario: {
      ...deployment("A fleet that scales", "mixtral-8x7b", "hgx-h100", 8, "vllm", {}, bf16, 8),
      deployment: {
        engine: "vllm", replicas: 1, parallel: { tensor: 2 }, precision: bf16,
        fleet: { autoscaling: { min_replicas: 1, max_replicas: 4, metric: "outstanding_requests", target: 4, period: "2 s" }, cold_start: { start: "3 s", weights_from: "disk", disk_bandwidth: "40 GB/s" } },
      },
    },
  },
  {
    charts: ["pools"],
    scenario: {
      ...deployment("Prefill and decode apart", "mixtral-8x7b", "hgx-h100", 8, "vllm", {}, bf16, 3),
      deployment: { engine: "vllm", parallel: { tensor: 2 }, disaggregation: { prefill: { replicas: 1 }, decode: { replicas: 2 } }, precision: bf16 },
    },
  },
];
