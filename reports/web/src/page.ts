// Which sections each kind of result has, in the order in which a reader decides.
import { el, type Child } from "./dom";
import type { Doc } from "./json";
import { Values } from "./numbers";
import { sectionElement, type Section, type SectionMaker } from "./section";
import { assumptionsSection } from "./sections/assumptions";
import { anchorsSection, checklistSection, provenanceFiles, provenanceSection, warningsSection } from "./sections/closing";
import { compareDecision, compareSensitivitySection, crossingsSection, curvesSection, differencesSection, effectsSection, notesSection, sideBySideSection } from "./sections/compare";
import { costSection } from "./sections/cost";
import { decision } from "./sections/decision";
import { expertsSection } from "./sections/experts";
import { latencySection } from "./sections/latency";
import { loadSection } from "./sections/load";
import { memorySection } from "./sections/memory";
import { networkSection } from "./sections/network";
import { otherSection } from "./sections/other";
import { headroomSection, planSection, rejectedSection } from "./sections/plan";
import { sensitivitySection } from "./sections/sensitivity";
import { classesSection, servingSection } from "./sections/serving";
import { stepsSection } from "./sections/steps";
import { beforeAnchorsSection, coverageSection, errorsSection, groupTables, leftOutSection, logDecision, logSections, refusedSection, scatterSection, unscoredSection, validateDecision, worstSection } from "./sections/validate";

interface Kind {
  name: string;
  heading: (v: Values) => Child;
  title: string;
  decision: (v: Values) => HTMLElement;
  sections: (Section | undefined)[];
}

function made(v: Values, makers: SectionMaker[]): (Section | undefined)[] {
  return makers.map((make) => make(v));
}

function kindOf(v: Values): Kind {
  const { doc } = v;
  if (doc.has("/log")) {
    return { name: "validation of a request log", title: doc.text("/log") ?? "", heading: (w) => w.text("/log"), decision: logDecision, sections: logSections(v) };
  }
  if (doc.has("/metrics") || doc.number("/runs") !== undefined) {
    return { name: "validation", title: "Predicted against measured", heading: () => "Predicted against measured", decision: validateDecision,
      sections: made(v, [scatterSection, errorsSection, worstSection, coverageSection, leftOutSection, beforeAnchorsSection, groupTables, unscoredSection, refusedSection]) };
  }
  if (doc.has("/comparison")) {
    return { name: "comparison", title: "Comparison", heading: () => "Comparison of deployments", decision: compareDecision,
      sections: made(v, [sideBySideSection, curvesSection, crossingsSection, compareSensitivitySection, differencesSection, effectsSection, notesSection, warningsSection, provenanceFiles]) };
  }
  return { name: doc.has("/plan") ? "plan" : "simulation", title: doc.text("/scenario/name") ?? "", heading: (w) => w.text("/scenario/name"), decision,
    sections: made(v, [planSection, headroomSection, memorySection, latencySection, classesSection, loadSection, stepsSection, expertsSection, networkSection, servingSection, costSection, rejectedSection, sensitivitySection, anchorsSection,
      checklistSection, warningsSection, otherSection, assumptionsSection, provenanceSection]) };
}

function download(doc: Doc): HTMLElement {
  const link = el("a", { class: "button", href: "#", download: "result.json" }, "Download JSON");
  link.addEventListener("click", () => { link.href = URL.createObjectURL(new Blob([JSON.stringify(doc.root, null, 1) + "\n"], { type: "application/json" })); });
  return link;
}

export function buildPage(doc: Doc, root: HTMLElement): void {
  const v = new Values(doc);
  const kind = kindOf(v);
  const sections = kind.sections.filter((section): section is Section => section !== undefined);
  document.title = `${kind.title}: moeplan ${kind.name}`;
  const version = doc.has("/moeplan_version") && [" by moeplan ", v.text("/moeplan_version")];
  root.replaceChildren(
    el("header", { class: "top" },
      el("div", {}, el("h1", {}, kind.heading(v)), el("p", { class: "soft" }, kind.name[0]?.toUpperCase() ?? "", kind.name.slice(1), version, doc.number("/seed") !== undefined && [", seed ", v.num("/seed", "count")],
        (doc.number("/replications") ?? 1) > 1 && [", ", v.num("/replications", "count"), " replications"])),
      el("div", { class: "tools" }, el("button", { type: "button", id: "theme" }, "Dark"), download(doc))),
    kind.decision(v),
    el("nav", { "aria-label": "Sections" }, el("ul", {}, sections.map((section) => el("li", {}, el("a", { href: `#${section.id}` }, section.title.split(":")[0] ?? ""))))),
    ...sections.map(sectionElement),
    el("footer", {}, "Self-contained: works offline. Hover over or tap any number for its exact value and origin. Times are simulated; GB means a thousand million bytes."));
}
