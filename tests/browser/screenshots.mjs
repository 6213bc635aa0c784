// Makes the pictures of reports/examples from real runs. usage: node screenshots.mjs PROGRAM OUT
import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { kRoot, runTests, withPage } from "./support/harness.mjs";

const out = resolve(process.argv[3] ?? join(kRoot, "reports/examples"));
const scenarios = join(kRoot, "scenarios");

/** Page name to the command that writes it and the height of the picture. */
const kPages = {
  compare: { words: ["compare", ...["gpt-oss-120b", "llama-3.1-70b", "mixtral-8x22b", "qwen3-235b-a22b"].map((model) => join(scenarios, `compare/chat-h100-${model}.json`))], height: 1000 },
  plan: { words: ["plan", join(scenarios, "buyer-chat.json")], height: 1000 },
  simulate: { words: ["simulate", join(scenarios, "mixtral-8x7b-2xh100.json"), "--uncertainty", "100"], height: 1000 },
  validate: { words: ["validate", join(scenarios, "measured_runs/published_runs.csv")], height: 1000 },
};

await runTests(Object.fromEntries(Object.entries(kPages).map(([name, { words, height }]) => [name, async ({ browser, moeplan, folder }) => {
  mkdirSync(out, { recursive: true });
  await moeplan(...words, "--html", `${name}.html`);
  await withPage(browser, join(folder, `${name}.html`), (page) => page.screenshot({ path: join(out, `${name}.png`) }), { viewport: { width: 1280, height }, colorScheme: "light" });
}])));
