// What a displayed number says, read without the page's own code: "30.9 ms" is 0.0309 with half a unit of its last digit to spare.

const kUnits = {
  h: 3600, min: 60, s: 1, "µs": 1e-6,
  B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, "B/s": 1, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9, "TB/s": 1e12,
  "%": 0.01, "×": 1, USD: 1, "USD/h": 1, GPU: 1, GPUs: 1, token: 1, tokens: 1, request: 1, requests: 1, "requests/s": 1, "tokens/s": 1,
  trillion: 1e12, billion: 1e9, million: 1e6, W: 1, kW: 1e3, J: 1,
  PFLOP: 1e15, TFLOP: 1e12, GFLOP: 1e9, MFLOP: 1e6, FLOP: 1, "": 1,
};

/** { value, slack } in the JSON's unit. `milliseconds`: the JSON's own unit is ms. Throws when the text is no number with a known unit. */
export function readDisplayed(text, milliseconds = false) {
  const found = /^([+−-]?)([\d,]*\.?\d+)(?:\u00a0(\S+))?$/u.exec(text);
  if (found === null) throw new Error(`no number with a unit: "${text}"`);
  const [, sign, digits, unit = ""] = found;
  const factor = unit === "ms" ? (milliseconds ? 1 : 1e-3) : kUnits[unit];
  if (factor === undefined) throw new Error(`unknown unit in "${text}"`);
  const plain = digits.replace(/,/g, "");
  const decimals = plain.includes(".") ? plain.length - plain.indexOf(".") - 1 : 0;
  const value = Number(plain) * factor * (sign === "" || sign === "+" ? 1 : -1);
  return { value, slack: 0.5000001 * factor * 10 ** -decimals };
}

/** Whether `text` shows `value`: to its last digit, and with at least two digits that count. */
export function shows(text, value, milliseconds = false) {
  const { value: shown, slack } = readDisplayed(text, milliseconds);
  if (Math.abs(shown - value) > slack) return false;
  return value === 0 || shown === value || Math.abs(shown - value) <= 0.05 * Math.abs(value);
}
