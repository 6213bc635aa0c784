// Pages with much in them, and every section at once.
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkPage } from "./support/checks.mjs";
import { kDeployments } from "./support/deployments.mjs";
import { expect, runTests } from "./support/harness.mjs";
import { comparisonOfFour, fullResult, largePlan, validationOf1865 } from "./support/synthetic.mjs";

async function baseResult({ moeplan, folder }) {
  const scenario = kDeployments.find(({ name }) => name === "Mixtral 8x7B on two H100");
  writeFileSync(join(folder, "base.json"), JSON.stringify(scenario));
  await moeplan("simulate", "base.json", "--json", "base.result.json");
  return JSON.parse(readFileSync(join(folder, "base.result.json"), "utf8"));
}

async function checkStored(context, result, charts) {
  const { browser, moeplan, folder } = context;
  const data = JSON.stringify(result);
  writeFileSync(join(folder, "large.json"), data);
  await moeplan("report", "large.json", "--html", "large.html");
  const page = statSync(join(folder, "large.html")).size;
  // "<" grows when it is escaped
  expect(page - Buffer.byteLength(data.replaceAll("<", "\\u003c")) < 1_500_000, `the page has ${page} bytes for ${data.length} of data`);
  await checkPage(browser, join(folder, "large.html"), result, charts);
}

await runTests({
  "a plan with 300 rejected candidates": async (context) => checkStored(context, largePlan(await baseResult(context)), ["pareto", "memory"]),
  "a comparison of four": async (context) => checkStored(context, comparisonOfFour(await baseResult(context)), ["compare-throughput", "compare-ttft", "compare-tpot", "sweep-0"]),
  "a validation of 1,865 runs": async (context) => checkStored(context, validationOf1865(), ["scatter", "errors", "coverage"]),
  "a result with every section": async (context) => checkStored(context, fullResult(await baseResult(context)),
    ["memory", "latency-ttft_s", "load-throughput", "load-latency", "steps", "expert-load", "rank-load", "links", "tornado-ttft.p99", "provenance"]),
});
