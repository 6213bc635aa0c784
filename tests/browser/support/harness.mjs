// Runs the program, opens pages in headless Chromium, and counts what passed. Plain functions: no test framework.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const kRoot = fileURLToPath(new URL("../../..", import.meta.url));
const kSkipped = 77;

function chromium() {
  return [process.env["MOEPLAN_CHROMIUM"], "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((file) => file && existsSync(file));
}

/** Runs `tests` (name to function of a context { browser, moeplan, folder }) and ends the process: 0, 1 when one failed, 77 without a Chromium. */
export async function runTests(tests) {
  const program = process.argv[2];
  const executablePath = chromium();
  if (executablePath === undefined) {
    console.log("SKIPPED: no Chromium found; install Debian's package chromium to test the pages");
    process.exit(kSkipped);
  }
  const { chromium: launcher } = await import("playwright-core");
  const folder = mkdtempSync(join(tmpdir(), "moeplan-pages-"));
  const browser = await launcher.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const moeplan = (...words) => new Promise((resolve, reject) => {
    execFile(program, words, { cwd: folder, maxBuffer: 1 << 28 }, (error, stdout, stderr) => (error ? reject(new Error(`moeplan ${words.join(" ")}: ${stderr || error}`)) : resolve(stdout)));
  });
  let failed = 0;
  let passed = 0;
  for (const [name, test] of Object.entries(tests)) {
    try {
      await test({ browser, moeplan, folder });
      ++passed;
      console.log(`passed: ${name}`);
    } catch (error) {
      ++failed;
      console.log(`FAILED: ${name}\n${error.stack ?? error}`);
    }
  }
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 ? 0 : 1);
}

/** Throws with all `complaints` when there are any. */
export function none(complaints, what) {
  if (complaints.length === 0) return;
  throw new Error(`${what}: ${complaints.length}\n  ${complaints.slice(0, 12).join("\n  ")}`);
}

export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** Opens `file` in a page of its own for `use(page)`; any console error, exception or request to the outside is a failure. */
export async function withPage(browser, file, use, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) complaints.push(`console ${message.type()}: ${message.text()}`); });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("request", (request) => { if (!/^(file|data|blob):/.test(request.url())) complaints.push(`request to ${request.url()}`); });
  await page.goto(`file://${file}`);
  await page.waitForFunction(() => window.moeplan?.ready === true, undefined, { timeout: 30_000 });
  try {
    await use(page);
    none(complaints, "the page complains");
  } finally {
    await context.close();
  }
}
