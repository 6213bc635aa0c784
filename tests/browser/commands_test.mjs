// Each command's page, and what a reader does with one: hover, search, sort, switch, download, read in the dark.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { at, checkAccessible, checkPage } from "./support/checks.mjs";
import { shows } from "./support/displayed.mjs";
import { kDeployments } from "./support/deployments.mjs";
import { expect, kRoot, runTests, withPage } from "./support/harness.mjs";
import { validationOf1865 } from "./support/synthetic.mjs";

const kScenario = { ...kDeployments.find(({ name }) => name === "Mixtral 8x7B on two H100"), name: "Ends </script><script>alert(1)</script> <!-- early\u2028" };

/** The page and the result of the scenario above; made once. */
async function simulated({ moeplan, folder }) {
  writeFileSync(join(folder, "s.json"), JSON.stringify(kScenario));
  await moeplan("simulate", "s.json", "--json", "s.result.json", "--html", "s.html");
  return { file: join(folder, "s.html"), json: JSON.parse(readFileSync(join(folder, "s.result.json"), "utf8")) };
}

/** The measured runs of a few layouts. */
function fewRuns(folder) {
  const lines = readFileSync(join(kRoot, "scenarios/measured_runs/published_runs.csv"), "utf8").split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  const rows = lines.slice(1).filter((line) => /mixtral|llama-3\.1-8b/.test(line)).slice(0, 24);
  writeFileSync(join(folder, "runs.csv"), [lines[0], ...rows].join("\n") + "\n");
}

await runTests({
  "names in the data cannot end the script or become markup": async (context) => {
    const { file, json } = await simulated(context);
    await withPage(context.browser, file, async (page) => {
      expect(await page.locator("h1").textContent() === json.scenario.name, "the name is not shown as it is");
      expect(await page.title() === `${json.scenario.name}: moeplan simulation`.trim(), "title");
    });
    await checkPage(context.browser, file, json);
  },

  "the charts show what their names say": async (context) => {
    const { file, json } = await simulated(context);
    await withPage(context.browser, file, async (page) => {
      const drawn = (id) => page.evaluate((chart) => Object.fromEntries(window.moeplan.charts.get(chart).getOption().series.map((series) => [series.name, series.data.map((item) => item.value)])), id);
      const memory = await drawn("memory");
      expect(memory["KV cache"][0] === json.memory.per_gpu.kv_cache_bytes, "KV cache");
      expect(memory["weights: routed experts"][0] === json.memory.weights_by_component.experts_bytes, "experts");
      const total = Object.values(memory).reduce((sum, [bytes]) => sum + bytes, 0);
      expect(total === json.memory.per_gpu.capacity_bytes, `the parts add up to ${total}`);
      const ttft = await drawn("latency-ttft_s");
      const { mean, p50, p90, p95, p99, max } = json.latency.ttft_s;
      expect(JSON.stringify(ttft.TTFT) === JSON.stringify([mean, p50, p90, p95, p99, max]), "TTFT");
      const steps = await drawn("steps");
      expect(steps.attention[0] === json.step_time.decode.share.attention && steps.attention[1] === json.step_time.prefill.share.attention, "attention of decode and prefill");
    });
  },

  "the first screen says what to buy, what it costs, whether it holds, how sure that is and what matters most": async (context) => {
    const { file, json } = await simulated(context);
    await withPage(context.browser, file, async (page) => {
      const bottom = await page.evaluate(() => document.getElementById("decision").getBoundingClientRect().bottom);
      expect(bottom <= 800, `the decision ends at ${bottom} px of 800`);
      const text = await page.locator("#decision").innerText();
      for (const words of ["Buy", "2 × NVIDIA H100", "6.00\u00a0USD/h", "TTFT p99", "TPOT p99", "Kernel times are", "Load", "Expert popularity"]) expect(text.includes(words), `no "${words}" on the first screen:\n${text}`);
      expect(json.objectives.every(({ met }) => met) === text.includes("all objectives are met"), "the verdict is not that of the objectives");
    });
  },

  "tooltips tell a number's value and origin, and a bar's value": async (context) => {
    const { file, json } = await simulated(context);
    await withPage(context.browser, file, async (page) => {
      await page.locator('#decision data[data-path="/cost/per_hour_usd"]').first().hover();
      const tip = await page.locator("#tip").innerText();
      expect(tip.startsWith("price") && tip.includes(`/cost/per_hour_usd = ${json.cost.per_hour_usd}`), `tooltip: ${tip}`);
      await page.keyboard.press("Escape");
      expect(await page.locator("#tip").isHidden(), "Escape does not hide the tooltip");
      const target = page.locator("#chart-latency-ttft_s");
      await target.scrollIntoViewIfNeeded();
      const where = await page.evaluate(() => {
        const chart = window.moeplan.charts.get("latency-ttft_s");
        const [x, top] = chart.convertToPixel({ seriesIndex: 0 }, [4, chart.getOption().series[0].data[4].value]);
        const [, bottom] = chart.convertToPixel({ seriesIndex: 0 }, [4, 0]);
        return [x, (top + bottom) / 2];
      });
      await target.hover({ position: { x: where[0], y: where[1] } });
      await page.waitForTimeout(200);
      const shown = await target.innerText();
      const value = shown.split("\n").map((line) => line.trim()).find((line) => { try { return shows(line, json.latency.ttft_s.p99); } catch { return false; } });
      expect(value !== undefined && shown.includes("p99"), `the tooltip of p99 shows "${shown}"`);
    });
  },

  "settings are searched and sorted by keyboard": async (context) => {
    const { file } = await simulated(context);
    await withPage(context.browser, file, async (page) => {
      const section = page.locator("#assumptions");
      const rows = () => section.locator("tbody tr").count();
      const all = await rows();
      await section.locator("input").focus();
      await page.keyboard.type("tensor");
      expect(await rows() === 1 && all > 1, `${await rows()} rows found`);
      await page.keyboard.press("Control+A");
      await page.keyboard.press("Delete");
      await section.locator("th button").first().focus();
      await page.keyboard.press("Enter");
      expect(await section.locator('th[aria-sort="ascending"]').count() === 1, "not sorted");
      const names = await section.locator("tbody th").allInnerTexts();
      expect(names.every((name, i) => i === 0 || names[i - 1].localeCompare(name, "en", { numeric: true }) <= 0), `order: ${names.slice(0, 5)}`);
    });
  },

  "the whole JSON is there for download": async (context) => {
    const { file, json } = await simulated(context);
    await withPage(context.browser, file, async (page) => {
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Download JSON").click()]);
      expect(JSON.stringify(JSON.parse(readFileSync(await download.path(), "utf8"))) === JSON.stringify(json), "another JSON");
    });
  },

  "in the dark it is accessible too": async (context) => {
    const { file } = await simulated(context);
    await withPage(context.browser, file, async (page) => {
      expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor) !== "rgb(255, 255, 255)", "not dark");
      await checkAccessible(page);
      await page.locator("#theme").click();
      expect(await page.evaluate(() => getComputedStyle(document.body).backgroundColor) === "rgb(255, 255, 255)", "the button does not turn on the light");
    }, { colorScheme: "dark" });
  },

  "validate writes a page of predicted against measured": async (context) => {
    const { browser, moeplan, folder } = context;
    fewRuns(folder);
    await moeplan("validate", "runs.csv", "--json", "v.json", "--html", "v.html");
    await checkPage(browser, join(folder, "v.html"), JSON.parse(readFileSync(join(folder, "v.json"), "utf8")), ["scatter", "errors"]);
  },

  "the scatter shows the metric and the groups that are chosen": async (context) => {
    const { browser, moeplan, folder } = context;
    const json = validationOf1865();
    writeFileSync(join(folder, "many.json"), JSON.stringify(json));
    await moeplan("report", "many.json", "--html", "many.html");
    await withPage(browser, join(folder, "many.html"), async (page) => {
      await page.locator("#predicted select").nth(0).selectOption("ttft");
      await page.locator("#predicted select").nth(1).selectOption("engine");
      const series = await page.evaluate(() => window.moeplan.charts.get("scatter").getOption().series.filter((one) => !one.unnamed).map(({ name, data }) => ({ name, rows: data.map(({ row }) => row) })));
      const drawn = series.reduce((sum, { rows }) => sum + rows.length, 0);
      expect(drawn === json.rows.filter(({ metric }) => metric === "ttft").length, `${drawn} points`);
      expect(series.every(({ name, rows }) => rows.every((row) => at(json, row).engine === name && at(json, row).metric === "ttft")), "a point in the wrong group");
    });
  },

  "validate of a request log writes a page": async (context) => {
    const { browser, moeplan, folder } = context;
    const runs = join(kRoot, "scenarios/measured_runs");
    await moeplan("validate", join(runs, "requests_vllm_rtx-4090_llama-3.1-8b.csv"), "--scenario", join(runs, "requests_vllm_rtx-4090_llama-3.1-8b.json"), "--json", "l.json", "--html", "l.html");
    await checkPage(browser, join(folder, "l.html"), JSON.parse(readFileSync(join(folder, "l.json"), "utf8")), ["log"]);
  },

  "plan writes a page with both pools and what features are worth": async (context) => {
    const { browser, moeplan, folder } = context;
    const tokens = (low, high) => ({ distribution: "uniform", low, high });
    writeFileSync(join(folder, "p.json"), JSON.stringify({
      name: "pools", model: "llama-3.1-8b", cluster: { gpu: "l40s" }, deployment: { engine: "vllm" },
      workload: { arrivals: { process: "poisson", rate: "20 /s" }, prompt_tokens: tokens(400, 2900), output_tokens: tokens(20, 200), requests: 600, warmup_requests: 60 },
      objectives: { ttft_p90: "800 ms", tpot_p90: "30 ms" }, uncertainty: { samples: 8 },
      search: { parallel: [{ tensor: 2 }], schedulers: [{ max_batch_requests: 64 }], limits: { gpus: 64 }, features: { disaggregation: ["none", { prefill: { gpus: ["h100-sxm"] } }] } },
      cost: { rental: { prices: { l40s: "1 USD/h", "h100-sxm": "2 USD/h" } } },
    }));
    await moeplan("plan", "p.json", "--json", "p.result.json", "--html", "p.html");
    const json = JSON.parse(readFileSync(join(folder, "p.result.json"), "utf8"));
    await checkPage(browser, join(folder, "p.html"), json, ["latency-ttft_s", "latency-tpot_s"]);
    await withPage(browser, join(folder, "p.html"), async (page) => {
      const text = await page.locator("#plan").innerText();
      expect(text.includes(json.plan.features[0].choices[1].text), "what the feature is worth is not said");
      expect(json.plan.best.prefill === undefined || text.includes("prefill apart"), "the prefill pool is not named");
    });
  },

  "the page of a stored result is that of the run": async (context) => {
    const { file } = await simulated(context);
    await context.moeplan("report", "s.result.json", "--html", "again.html");
    expect(readFileSync(file, "utf8") === readFileSync(join(context.folder, "again.html"), "utf8"), "another page");
  },
});
