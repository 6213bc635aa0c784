// A part of the page. A section that has nothing to say returns nothing and is not there.
import { el, type Child } from "./dom";
import type { Values } from "./numbers";

export interface Section {
  id: string;
  title: string;
  body: Child[];
}

export type SectionMaker = (values: Values) => Section | undefined;

export function sectionElement(section: Section): HTMLElement {
  return el("section", { id: section.id, "aria-labelledby": `${section.id}-title` },
    el("h2", { id: `${section.id}-title` }, section.title), section.body);
}

/** The section when it has anything but empty parts. */
export function sectionOf(id: string, title: string, ...body: Child[]): Section | undefined {
  return body.some((child) => child !== undefined && child !== false) ? { id, title, body } : undefined;
}
