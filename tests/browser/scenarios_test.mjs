// The pages of ten simulated scenarios, from one GPU to a rack, and of serving features.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkPage } from "./support/checks.mjs";
import { kDeployments, kFeatures } from "./support/deployments.mjs";
import { runTests } from "./support/harness.mjs";

const kAlways = ["memory"];
const kSimulated = ["memory", "latency-ttft_s", "latency-tpot_s", "latency-e2e_s", "steps", "provenance"];

const kPages = [...kDeployments.map((scenario) => ({ scenario, charts: [] })), ...kFeatures];

await runTests(Object.fromEntries(kPages.map(({ scenario, charts }, i) => [scenario.name, async ({ browser, moeplan, folder }) => {
  writeFileSync(join(folder, `${i}.json`), JSON.stringify(scenario));
  await moeplan("simulate", `${i}.json`, "--json", `${i}.result.json`, "--html", `${i}.html`);
  const result = JSON.parse(readFileSync(join(folder, `${i}.result.json`), "utf8"));
  await checkPage(browser, join(folder, `${i}.html`), result, result.latency === null ? kAlways : [...kSimulated, ...charts]);
}])));
