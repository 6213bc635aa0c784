// Numbers as text, always with their unit: three significant digits, decimal prefixes (GB = 1e9 bytes). One function per kind of quantity.

export type Unit =
  | "s" | "ms" | "bytes" | "bytes_per_s" | "share" | "error" | "ratio" | "usd" | "usd_per_h" | "count" | "gpus" | "parameters" | "tokens" | "requests"
  | "requests_per_s" | "tokens_per_s" | "w" | "joules" | "flops" | "plain";

const kSpace = "\u00a0";

/** Three significant digits without an exponent; thousands set apart. */
export function digits(value: number, significant = 3): string {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const decimals = Math.max(0, Math.min(12, significant - 1 - Math.floor(Math.log10(size))));
  const text = Number(value.toPrecision(significant));
  if (size >= 100) return Math.round(value).toLocaleString("en-US").replace("-", "−");
  return text.toFixed(decimals).replace("-", "−");
}

function scaled(value: number, steps: readonly (readonly [number, string])[]): string {
  const size = Math.abs(value);
  let [factor, name] = steps[steps.length - 1] ?? [1, ""];
  for (const [candidate, candidateName] of steps) {
    // 999.6 would be shown as 1,000 of the smaller unit: the next one takes over.
    if (size >= candidate * 0.9995) {
      [factor, name] = [candidate, candidateName];
      break;
    }
  }
  return digits(value / factor) + kSpace + name;
}

const kTime = [[7200, "h"], [120, "min"], [1, "s"], [1e-3, "ms"], [1e-6, "µs"]] as const;
const kBytes = [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"], [1, "B"]] as const;
const kTimeSizes: Record<string, number> = { h: 3600, min: 60, s: 1, ms: 1e-3, "µs": 1e-6 };

function seconds(value: number): string {
  if (value === 0) return `0${kSpace}s`;
  const size = Math.abs(value);
  const step = kTime.find(([from]) => size >= from * 0.9995) ?? kTime[kTime.length - 1];
  const name = step?.[1] ?? "s";
  return digits(value / (kTimeSizes[name] ?? 1)) + kSpace + name;
}

function percent(value: number): string {
  const hundredths = value * 100;
  const whole = Math.round(hundredths);
  if (Math.abs(hundredths - whole) < 1e-9) return String(whole).replace("-", "−") + kSpace + "%";
  const text = Math.abs(hundredths) >= 10 ? hundredths.toFixed(Math.abs(hundredths) >= 99.95 ? 0 : 1) : digits(hundredths, 2);
  return text.replace("-", "−") + kSpace + "%";
}

function dollars(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  return size >= 1 || value === 0 ? value.toFixed(2) : digits(value);
}

function whole(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : digits(value);
}

/** `value` with its unit. */
export function format(value: number, unit: Unit): string {
  switch (unit) {
    case "s": return seconds(value);
    case "ms": return digits(value) + kSpace + "ms";
    case "bytes": return value === 0 ? `0${kSpace}B` : scaled(value, kBytes);
    case "bytes_per_s": return value === 0 ? `0${kSpace}B/s` : `${scaled(value, kBytes)}/s`;
    case "share": return percent(value);
    case "error": return (value > 0 ? "+" : "") + percent(value);
    case "ratio": return digits(value) + kSpace + "×";
    case "usd": return dollars(value) + kSpace + "USD";
    case "usd_per_h": return dollars(value) + kSpace + "USD/h";
    case "gpus": return whole(value) + kSpace + (value === 1 ? "GPU" : "GPUs");
    case "parameters": return value >= 1e6 ? scaled(value, [[1e12, "trillion"], [1e9, "billion"], [1e6, "million"]]) : whole(value);
    case "tokens": return whole(value) + kSpace + (value === 1 ? "token" : "tokens");
    case "requests": return whole(value) + kSpace + (value === 1 ? "request" : "requests");
    case "requests_per_s": return digits(value) + kSpace + "requests/s";
    case "tokens_per_s": return digits(value) + kSpace + "tokens/s";
    case "w": return value >= 9995 ? digits(value / 1000) + kSpace + "kW" : digits(value) + kSpace + "W";
    case "joules": return digits(value) + kSpace + "J";
    case "flops": return scaled(value, [[1e15, "PFLOP"], [1e12, "TFLOP"], [1e9, "GFLOP"], [1e6, "MFLOP"], [1, "FLOP"]]);
    case "count": case "plain": return whole(value);
  }
}

/** The same for an axis, where round numbers need no zeros behind the point. */
export function formatTick(value: number, unit: Unit): string {
  return format(value, unit).replace(/(\.\d*?)0+(?=\u00a0|$)/, "$1").replace(/\.(?=\u00a0|$)/, "");
}

/** The unit that the end of a key promises ("_s", "_bytes", "_usd", "_w", ...). */
export function unitOfKey(key: string): Unit {
  if (/tokens_per_s(_per_gpu)?$/.test(key)) return "tokens_per_s";
  if (/(requests|offered)_per_s$|^goodput/.test(key)) return "requests_per_s";
  if (/bytes_per_s$/.test(key)) return "bytes_per_s";
  if (/(^|_)usd_per_hour$|per_hour_usd$|per_gpu_hour_usd$/.test(key)) return "usd_per_h";
  if (/usd/.test(key)) return "usd";
  if (/joules/.test(key)) return "joules";
  if (/bytes/.test(key)) return "bytes";
  if (/_s$/.test(key)) return "s";
  if (/_w$/.test(key)) return "w";
  if (/share|fraction|hit_rate|utilisation|probability/.test(key)) return "share";
  if (/tokens$/.test(key)) return "tokens";
  return "plain";
}
