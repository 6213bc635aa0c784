// Reads the data that stands in the page, builds the page that fits it and draws the charts.
import "./style.css";
import { charts, drawAll, resizeAll } from "./chart";
import { Doc, type Json } from "./json";
import { buildPage } from "./page";
import { installTheme } from "./theme";
import { installTooltip } from "./tooltip";

declare global {
  interface Window {
    /** For tests and for the curious: the data and the drawn charts. */
    moeplan?: { data: Json; charts: typeof charts; ready: boolean };
  }
}

/** Width of an A4 page less its margins, in CSS pixels. */
const kPrintWidth = 690;

function start(): void {
  const source = document.getElementById("data");
  const root = document.getElementById("page");
  if (source === null || root === null) return;
  const doc = new Doc(JSON.parse(source.textContent ?? "null") as Json);
  buildPage(doc, root);
  installTheme();
  installTooltip(doc);
  drawAll();
  window.addEventListener("beforeprint", () => resizeAll(kPrintWidth));
  window.addEventListener("afterprint", () => resizeAll());
  let width = root.clientWidth;
  new ResizeObserver(() => {
    if (root.clientWidth === width) return;
    width = root.clientWidth;
    resizeAll();
  }).observe(root);
  window.moeplan = { data: doc.root, charts, ready: true };
}

start();
