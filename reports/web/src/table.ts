// Tables: a plain one, and one that is searched, sorted and paged for the long lists (every row stays in the JSON).
import { el, type Child } from "./dom";

export interface Column {
  name: string;
  /** Right-aligned. */
  number?: boolean;
}

export function table(caption: string, columns: Column[], rows: Child[][]): HTMLTableElement {
  return el("table", {}, el("caption", {}, caption),
    el("thead", {}, el("tr", {}, columns.map((c) => el("th", { scope: "col", class: c.number && "right" }, c.name)))),
    el("tbody", {}, rows.map((row) => tableRow(columns, row))));
}

function tableRow(columns: Column[], cells: Child[]): HTMLTableRowElement {
  return el("tr", {}, cells.map((cell, i) => {
    if (i === 0) return el("th", { scope: "row", class: columns[0]?.number && "right" }, cell);
    return el("td", { class: columns[i]?.number && "right" }, cell);
  }));
}

/** A table that may be wider than the screen: scrolls sideways, by keyboard too. */
export function scrolling(name: string, inner: HTMLElement): HTMLElement {
  return el("div", { class: "scroll", role: "group", tabindex: "0", "aria-label": name }, inner);
}

export interface SearchableRow {
  /** Made only when shown. */
  cells: () => Child[];
  /** What the search looks at, and what sorts each column. */
  keys: (string | number)[];
}

const kPageRows = 25;

export function searchable(name: string, columns: Column[], rows: SearchableRow[], rowsName = "rows"): HTMLElement {
  let shown = rows;
  let page = 0;
  let sortedBy = -1;
  let rising = true;
  const body = el("tbody");
  const status = el("p", { class: "status", role: "status" });
  const search = el("input", { type: "search", placeholder: "Search", "aria-label": `Search ${name}` });
  const back = el("button", { type: "button" }, "Previous");
  const forward = el("button", { type: "button" }, "Next");
  const heads = columns.map((column, i) => {
    const button = el("button", { type: "button", class: "sort" }, column.name);
    button.addEventListener("click", () => { rising = sortedBy === i ? !rising : true; sortedBy = i; page = 0; update(); });
    return el("th", { scope: "col", class: column.number && "right" }, button);
  });

  function update(): void {
    const words = search.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    shown = rows.filter((row) => {
      const text = row.keys.join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    if (sortedBy >= 0) shown = [...shown].sort((a, b) => compare(a.keys[sortedBy], b.keys[sortedBy]) * (rising ? 1 : -1));
    heads.forEach((head, i) => {
      if (i === sortedBy) head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const first = page * kPageRows;
    const visible = shown.slice(first, first + kPageRows);
    body.replaceChildren(...visible.map((row) => tableRow(columns, row.cells())));
    const range = visible.length === 0 ? "nothing found" : `${first + 1} to ${first + visible.length} of ${shown.length} ${rowsName}`;
    status.textContent = shown.length === rows.length ? range : `${range} (${rows.length} in all)`;
    back.disabled = page === 0;
    forward.disabled = first + kPageRows >= shown.length;
  }

  search.addEventListener("input", () => { page = 0; update(); });
  back.addEventListener("click", () => { --page; update(); });
  forward.addEventListener("click", () => { ++page; update(); });
  update();
  const whole = el("table", {}, el("caption", {}, name), el("thead", {}, el("tr", {}, heads)), body);
  const controls = el("div", { class: "controls no-print" }, search, rows.length > kPageRows && [back, forward]);
  return el("div", { class: "searchable" }, controls, scrolling(name, whole), status);
}

function compare(a: string | number | undefined, b: string | number | undefined): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""), "en", { numeric: true });
}
