// Elements without a framework.

export type Child = Node | string | undefined | false | Child[];

type Attributes = Record<string, string | number | boolean | undefined>;

function append(parent: Element, child: Child): void {
  if (Array.isArray(child)) for (const one of child) append(parent, one);
  else if (child !== undefined && child !== false) parent.append(child);
}

/** A new element; attributes that are undefined or false are left out. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children) append(element, child);
  return element;
}

/** Nodes with `separator` between them. */
export function joined(nodes: Child[], separator: string): Child[] {
  return nodes.flatMap((node, i) => (i === 0 ? [node] : [separator, node]));
}
