// How long pages take from opening to drawn, and how large they are. usage: node load_times.mjs PROGRAM PAGE.html...
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { runTests, withPage } from "./support/harness.mjs";

const kTries = 5;
const files = process.argv.slice(3).map((file) => resolve(file));

await runTests(Object.fromEntries(files.map((file) => [file, async ({ browser }) => {
  const times = [];
  for (let i = 0; i < kTries; ++i) {
    const start = performance.now();
    await withPage(browser, file, async () => { times.push(performance.now() - start); });
  }
  times.sort((a, b) => a - b);
  console.log(`${file}: ${(statSync(file).size / 1e6).toFixed(2)} MB, drawn after ${Math.round(times[0])} ms at best, ${Math.round(times[Math.floor(kTries / 2)])} ms median of ${kTries}`);
}])));
