// The reader of displayed numbers that the other tests rest on: it must accept what is right and refuse what is wrong.
import { strictEqual, throws } from "node:assert";
import { readDisplayed, shows } from "./support/displayed.mjs";

const space = "\u00a0";
strictEqual(readDisplayed(`30.9${space}ms`).value, 30.9 * 1e-3);
strictEqual(readDisplayed(`432,144${space}tokens`).value, 432144);
strictEqual(readDisplayed(`−7.2${space}%`).value, -7.2 * 0.01);
strictEqual(readDisplayed(`12.5${space}ms`, true).value, 12.5);
throws(() => readDisplayed(`30.9${space}furlongs`));
throws(() => readDisplayed("some"));
strictEqual(shows(`30.9${space}ms`, 0.03089), true);
strictEqual(shows(`30.9${space}ms`, 0.0310), false);
strictEqual(shows(`30.9${space}s`, 0.0309), false);
strictEqual(shows(`85.5${space}GB`, 85520809984), true);
strictEqual(shows(`85.5${space}GB`, 85570809984), false);
// half a unit of the last digit away, but five times too large
strictEqual(shows("0", 0.1), false);
console.log("12 passed, 0 failed");
