// One tooltip for all values of the page: what the number is in the JSON, exactly, and where it comes from. On hover and on tap; Escape hides it.
import { el } from "./dom";
import type { Doc } from "./json";
import { originOf } from "./provenance";

export function installTooltip(doc: Doc): void {
  const tip = el("div", { class: "tip", id: "tip", role: "tooltip", hidden: true });
  document.body.append(tip);

  const show = (target: HTMLElement): void => {
    const path = target.dataset["path"] ?? "";
    const origin = originOf(doc, path);
    tip.replaceChildren(
      el("strong", {}, origin.kind), `: ${origin.source}`, el("br"), el("code", {}, `${path} = ${String(doc.at(path))}`));
    tip.hidden = false;
    const box = target.getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left), document.documentElement.clientWidth - tip.offsetWidth - 8);
    const below = box.bottom + 6;
    const top = below + tip.offsetHeight > window.innerHeight ? box.top - tip.offsetHeight - 6 : below;
    tip.style.left = `${Math.max(8, left) + window.scrollX}px`;
    tip.style.top = `${Math.max(0, top) + window.scrollY}px`;
  };
  const hide = (): void => { tip.hidden = true; };
  const valueAt = (event: Event): HTMLElement | null => (event.target instanceof Element ? event.target.closest<HTMLElement>("data[data-path]") : null);

  document.addEventListener("pointerover", (event) => {
    const target = valueAt(event);
    if (target !== null) show(target);
    else if (!(event.target instanceof Element && event.target.closest(".tip"))) hide();
  });
  document.addEventListener("click", (event) => {
    const target = valueAt(event);
    if (target !== null) show(target);
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
}
