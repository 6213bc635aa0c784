// Values of the JSON on the page. Each carries its pointer (data-path), so that its origin can be shown on hover and a test can compare it.
import { el } from "./dom";
import type { Doc } from "./json";
import { format, unitOfKey, type Unit } from "./units";
import { leaf } from "./json";

/** What is not there. */
export const kNone = "–";

export class Values {
  constructor(readonly doc: Doc) {}

  /** The number at `path` with its unit (by default the one its key promises); a dash where there is none. */
  num(path: string, unit: Unit = unitOfKey(leaf(path))): Node {
    const value = this.doc.number(path);
    if (value === undefined) return document.createTextNode(kNone);
    return el("data", { value, "data-path": path, class: "number" }, format(value, unit));
  }

  /** The text at `path`, as it is. */
  text(path: string): Node {
    const value = this.doc.text(path);
    if (value === undefined) return document.createTextNode(kNone);
    return el("span", { "data-path": path }, value);
  }

  /** Whatever stands at `path`. */
  any(path: string, unit?: Unit): Node {
    const value = this.doc.at(path);
    if (typeof value === "number") return this.num(path, unit);
    if (typeof value === "boolean") return el("span", { "data-path": path }, value ? "yes" : "no");
    if (value !== null && typeof value === "object") return el("code", { "data-json-path": path }, JSON.stringify(value));
    return this.text(path);
  }

  /** How many elements the array at `path` has. */
  count(path: string): Node {
    return el("span", { "data-count-of": path }, String(this.doc.keys(path).length));
  }

  /** The number as chart data: the test finds the pointer beside the value. */
  point(path: string): { value: number | null; path: string } {
    return { value: this.doc.number(path) ?? null, path };
  }
}
