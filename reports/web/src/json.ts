// The result as the page sees it: read-only access by JSON pointer. Every reader tolerates what is absent; nothing is ever computed here.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** The pointer of `key` under `path`. */
export function join(path: string, key: string | number): string {
  return `${path}/${String(key).replace(/~/g, "~0").replace(/\//g, "~1")}`;
}

export class Doc {
  constructor(readonly root: Json) {}

  at(path: string): Json | undefined {
    let value: Json | undefined = this.root;
    for (const part of path.split("/").slice(1)) {
      const key = part.replace(/~1/g, "/").replace(/~0/g, "~");
      if (Array.isArray(value)) value = value[Number(key)];
      else if (value !== null && typeof value === "object") value = Object.prototype.hasOwnProperty.call(value, key) ? value[key] : undefined;
      else return undefined;
    }
    return value;
  }

  /** Something is there that is neither null nor an empty object or array. */
  has(path: string): boolean {
    const value = this.at(path);
    if (value === undefined || value === null) return false;
    return typeof value !== "object" || Object.keys(value).length > 0;
  }

  number(path: string): number | undefined {
    const value = this.at(path);
    return typeof value === "number" ? value : undefined;
  }

  text(path: string): string | undefined {
    const value = this.at(path);
    return typeof value === "string" ? value : undefined;
  }

  flag(path: string): boolean | undefined {
    const value = this.at(path);
    return typeof value === "boolean" ? value : undefined;
  }

  keys(path: string): string[] {
    const value = this.at(path);
    return value !== null && typeof value === "object" ? Object.keys(value) : [];
  }

  /** Pointers of the elements of an array or the members of an object. */
  children(path: string): string[] {
    return this.keys(path).map((key) => join(path, key));
  }

  /** The first of `paths` that has something. */
  first(...paths: string[]): string | undefined {
    return paths.find((path) => this.has(path));
  }
}

/** The last part of a pointer, unescaped. */
export function leaf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/~1/g, "/").replace(/~0/g, "~");
}
