// Bundles the page into one self-contained HTML file around a place for the data, and writes it as C++ source to be compiled in.
// usage: node build.mjs OUT_DIR   writes page.html, page_template.cpp and the depfile page.d
import { build } from "esbuild";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "dist");
const kMark = "<!--data-->";
const kMostBytes = 1_500_000;
// Literals longer than this are refused by some compilers.
const kLiteral = 8_000;

const bundled = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.ts"],
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2020",
  charset: "utf8",
  legalComments: "none",
  outdir: "out",
  write: false,
  metafile: true,
  logLevel: "warning",
});
const text = (end) => bundled.outputFiles.find((file) => file.path.endsWith(end)).text;
const script = text(".js").replace(/<\/(script)/gi, "<\\/$1").replace(/<!--/g, "<\\!--");
const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>moeplan report</title>
<style>${text(".css")}</style>
</head>
<body>
<main id="page"><noscript>This report draws itself with JavaScript; its data stand in the page as JSON.</noscript></main>
<script type="application/json" id="data">${kMark}</script>
<script>
/* Charts: Apache ECharts, Apache-2.0, https://echarts.apache.org */
${script}</script>
</body>
</html>
`;
if (Buffer.byteLength(html) > kMostBytes) throw new Error(`the page has ${Buffer.byteLength(html)} bytes, allowed are ${kMostBytes}`);
const parts = html.split(kMark);
if (parts.length !== 2) throw new Error(`the page has ${parts.length - 1} places for data`);

/** `text` as adjacent C++ string literals. */
function literals(text) {
  const bytes = Buffer.from(text);
  const lines = [];
  for (let at = 0; at < bytes.length; at += kLiteral) {
    let line = "";
    for (const byte of bytes.subarray(at, at + kLiteral)) {
      if (byte === 0x22 || byte === 0x5c) line += "\\" + String.fromCharCode(byte);
      else if (byte >= 0x20 && byte < 0x7f && byte !== 0x3f) line += String.fromCharCode(byte);
      else line += "\\" + byte.toString(8).padStart(3, "0");
    }
    lines.push(`"${line}"`);
  }
  return lines.join("\n");
}

mkdirSync(out, { recursive: true });
const escaped = (file) => file.replace(/ /g, "\\ ");
writeFileSync(join(out, "page.d"), `${escaped(join(out, "page_template.cpp"))}: ${Object.keys(bundled.metafile.inputs).map((file) => escaped(join(here, file))).join(" ")}\n`);
writeFileSync(join(out, "page.html"), html);
writeFileSync(join(out, "page_template.cpp"), `// Made by reports/web/build.mjs.
#include "study/page_template.hpp"

namespace moeplan {
namespace {
constexpr char kHead[] =
${literals(parts[0])};
constexpr char kTail[] =
${literals(parts[1])};
}  // namespace
std::string_view page_head() { return {kHead, sizeof kHead - 1}; }
std::string_view page_tail() { return {kTail, sizeof kTail - 1}; }
}  // namespace moeplan
`);
