// What holds on every page, whatever it shows: its numbers are those of the JSON, its charts are drawn with them, it prints, it is accessible.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { deepStrictEqual } from "node:assert";
import { expect, none, withPage } from "./harness.mjs";
import { shows } from "./displayed.mjs";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The value at a JSON pointer. */
export function at(json, pointer) {
  return pointer.split("/").slice(1).reduce((value, part) => (value === undefined || value === null ? undefined : value[part.replace(/~1/g, "/").replace(/~0/g, "~")]), json);
}

/** Text that may hold digits without being a number of the result: names of statistics and this page's own words. */
const kAllowed = /\bp\d+(\.\d+)?\b|SHA-256|95 %|A4|\bTop-\d\b/g;

async function openAll(page) {
  await page.evaluate(() => { for (const details of document.querySelectorAll("details")) details.open = true; });
  await page.waitForTimeout(50);
}

/** Every number, text and count on the page is the JSON's, and no other digits stand on it. */
export async function checkNumbers(page, json) {
  await openAll(page);
  const shown = await page.evaluate(() => ({
    values: [...document.querySelectorAll("[data-path]")].map((node) => ({ path: node.dataset.path, text: node.textContent, value: node.getAttribute("value") })),
    objects: [...document.querySelectorAll("[data-json-path]")].map((node) => ({ path: node.dataset.jsonPath, text: node.textContent })),
    counts: [...document.querySelectorAll("[data-count-of]")].map((node) => ({ path: node.dataset.countOf, text: node.textContent })),
  }));
  const complaints = [];
  for (const { path, text, value } of shown.values) {
    const expected = at(json, path);
    if (typeof expected === "number") {
      // Measured runs state milliseconds; everything else is in seconds.
      const milliseconds = /^\/(rows|anchors)\//.test(path);
      if (Number(value) !== expected) complaints.push(`${path}: carries ${value}, the JSON has ${expected}`);
      else if (!shows(text, expected, milliseconds)) complaints.push(`${path}: shows "${text}", the JSON has ${expected}`);
    } else if (typeof expected === "boolean" ? text !== (expected ? "yes" : "no") : text !== expected) {
      complaints.push(`${path}: shows "${text}", the JSON has ${JSON.stringify(expected)}`);
    }
  }
  for (const { path, text } of shown.objects) {
    if (text !== JSON.stringify(at(json, path))) complaints.push(`${path}: shows ${text}`);
  }
  for (const { path, text } of shown.counts) {
    if (Number(text) !== Object.keys(at(json, path) ?? {}).length) complaints.push(`${path}: count ${text}`);
  }
  none(complaints, "numbers that are not the JSON's");
  expect(shown.values.length > 20, `only ${shown.values.length} values on the page`);
  none(await strayDigits(page, json), "digits that come from nowhere");
  return shown.values.length;
}

/** Text with digits outside of marked values, the allowed words and the names that the JSON itself contains. */
async function strayDigits(page, json) {
  const texts = await page.evaluate(() => {
    const walker = document.createTreeWalker(document.getElementById("page"), NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
      const node = walker.currentNode;
      if (/\d/.test(node.data) && !node.parentElement.closest("[data-path], [data-json-path], [data-count-of], [role=status], .drawing, option")) found.push(node.data);
    }
    return found;
  });
  const names = new Set();
  (function collect(value) {
    if (typeof value === "string") names.add(value);
    else if (value !== null && typeof value === "object") for (const [key, member] of Object.entries(value)) { names.add(key); collect(member); }
  })(json);
  // A path of keys is a name too.
  const named = (text) => text.split("›").every((part) => names.has(part.trim()));
  return texts.filter((text) => !named(text) && /\d/.test(text.replace(kAllowed, "")) && !/^\d+$/.test(text.trim()));
}

/** Every chart is drawn and every point of it is the number that its pointer names. */
export async function checkCharts(page, json, expected = []) {
  const charts = await page.evaluate(() => [...window.moeplan.charts].map(([id, chart]) => ({
    id,
    shapes: chart.getDom().querySelectorAll("svg path, svg rect, svg circle, svg polyline").length,
    box: { width: chart.getDom().clientWidth, height: chart.getDom().clientHeight },
    caption: chart.getDom().closest("figure").querySelector("figcaption").textContent,
    label: chart.getDom().getAttribute("aria-label"),
    series: chart.getOption().series.map((series) => ({ name: series.name, unnamed: series.unnamed === true, data: series.data })),
  })));
  const complaints = [];
  let points = 0;
  for (const chart of charts) {
    if (chart.shapes < 2 || chart.box.width < 100 || chart.box.height < 60) complaints.push(`${chart.id}: nothing drawn`);
    if (chart.caption.length < 20) complaints.push(`${chart.id}: no caption that says what to see`);
    if (!chart.label) complaints.push(`${chart.id}: no label`);
    for (const series of chart.series) {
      if (series.unnamed && series.data.every((item) => Array.isArray(item))) continue;  // a guide line
      if (series.data.length === 0) complaints.push(`${chart.id}: series "${series.name}" is empty`);
      for (const item of series.data) {
        const pairs = item.path !== undefined ? [[item.path, item.value]] : item.paths.map((path, i) => [path, item.value[i]]).filter(([path]) => path !== null);
        for (const [path, value] of pairs) {
          ++points;
          if ((at(json, path) ?? null) !== value) complaints.push(`${chart.id}: ${path} drawn as ${value}, the JSON has ${at(json, path)}`);
        }
      }
    }
  }
  for (const id of expected) if (!charts.some((chart) => chart.id === id)) complaints.push(`chart ${id} is missing`);
  none(complaints, "charts");
  return points;
}

/** axe finds no violation. */
export async function checkAccessible(page) {
  await page.evaluate(axeSource);
  const violations = await page.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations
    .map((violation) => `${violation.id}: ${violation.help}; ${violation.nodes.length} x, first ${violation.nodes[0].html.slice(0, 160)} ${violation.nodes[0].failureSummary?.slice(0, 200) ?? ""}`));
  none(violations, "axe");
}

/** Nothing sticks out of the page to the right or is clipped by a box; charts fit too. */
async function cutContent(page) {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const cut = [];
    for (const node of document.querySelectorAll("#page *")) {
      if (node.closest("svg") && node.tagName !== "svg") continue;
      const box = node.getBoundingClientRect();
      if (box.width === 0 || box.height === 0 || node.closest(".skip, .no-print[hidden]")) continue;
      if (box.right > width + 1) cut.push(`${node.tagName} ${node.className || node.id} ends at ${Math.round(box.right)} of ${width}: ${node.textContent.slice(0, 40)}`);
      const style = getComputedStyle(node);
      if (style.overflowX !== "visible" && node.scrollWidth > node.clientWidth + 1) cut.push(`${node.tagName} ${node.className} hides ${node.scrollWidth - node.clientWidth} px`);
    }
    return cut;
  });
}

/** Printed on A4 no content is cut: nothing wider than the paper, nothing that would have to be scrolled, no control that paper cannot use. */
export async function checkPrint(page) {
  await page.emulateMedia({ media: "print" });
  // 182 mm between the margins.
  await page.setViewportSize({ width: 688, height: 1000 });
  await page.waitForTimeout(150);
  none(await cutContent(page), "cut in print");
  const visible = await page.evaluate(() => [...document.querySelectorAll("button, input, select, nav")].filter((node) => node.getClientRects().length > 0 && !node.classList.contains("sort")).map((node) => node.outerHTML.slice(0, 80)));
  none(visible, "controls on paper");
  const pdf = await page.pdf({ preferCSSPageSize: true });
  expect(pdf.length > 20_000, `the PDF has ${pdf.length} bytes`);
  await page.emulateMedia({ media: "screen" });
}

/** On a phone nothing makes the page scroll sideways. */
export async function checkPhone(page) {
  await page.setViewportSize({ width: 375, height: 740 });
  await page.waitForTimeout(150);
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(width <= 375, `the page is ${width} px wide on a phone of 375`);
}

/** No heading without content, no empty table, no section that says nothing. */
export async function checkNothingEmpty(page) {
  const empty = await page.evaluate(() => [...document.querySelectorAll("section, figure, table, ul, .card")]
    .filter((node) => !node.classList.contains("legend") && (node.textContent.trim() === "" || (node.tagName === "TABLE" && node.tBodies[0].rows.length === 0) || (node.tagName === "SECTION" && node.children.length < 2)))
    .map((node) => `${node.tagName} ${node.id} ${node.className}`));
  none(empty, "empty parts");
}

/** All of the above on `file`, whose data must be `json`. */
export async function checkPage(browser, file, json, charts = []) {
  await withPage(browser, file, async (page) => {
    deepStrictEqual(await page.evaluate(() => window.moeplan.data), json);
    await checkCharts(page, json, charts);
    await checkNothingEmpty(page);
    await checkAccessible(page);
    await checkNumbers(page, json);
    await checkPrint(page);
    await checkPhone(page);
  });
}
