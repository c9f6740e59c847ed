// Formats values for display, in the browser's language.

export const NOTHING = "–";

const number = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" });

export const count = (value) =>
  value === null || value === undefined ? NOTHING : number.format(value);

export const compact = (value) =>
  value === null || value === undefined ? NOTHING : short.format(value);

export function percent(share, digits = 1) {
  if (share === null || share === undefined) return NOTHING;
  return `${(share * 100).toFixed(digits).replace(/\.0+$/, "")} %`;
}

/** The difference of two shares in percentage points, with its sign. */
export function points(difference) {
  return `${difference > 0 ? "+" : ""}${(difference * 100).toFixed(1)} points`;
}

/** The 95 % interval of an accuracy of the API, and its number of queries. */
export const intervalText = ({ low, high, labelled }) =>
  low === null
    ? `n = ${count(labelled)}`
    : `${percent(low)} to ${percent(high)}, n = ${count(labelled)}`;

export function usd(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value === 0) return "$0";
  const digits =
    Math.abs(value) >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(Math.abs(value))));
  return `$${value.toFixed(digits).replace(/(\.\d\d\d*?)0+$/, "$1")}`;
}

export function ms(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value >= 10_000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 100 ? Math.round(value) : Number(value.toFixed(1))} ms`;
}

/** A span of time that may be long: "3.4 s", "12 min", "5.2 h", "3.5 days"; negative ones too. */
export function duration(value) {
  if (value === null || value === undefined) return NOTHING;
  const size = Math.abs(value);
  if (size >= 172_800_000) return `${(value / 86_400_000).toFixed(1)} days`;
  if (size >= 5_400_000) return `${(value / 3_600_000).toFixed(1)} h`;
  if (size >= 90_000) return `${Math.round(value / 60_000)} min`;
  return size >= 1000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`;
}

export function bytes(value) {
  if (value === null || value === undefined) return NOTHING;
  const units = ["bytes", "KB", "MB", "GB"];
  let size = value;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${units[unit]}`;
}

const hours = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

/** The time of day. */
export const clock = (text) => hours.format(new Date(text));

export const time = (text) => (text ? moment.format(new Date(text)) : NOTHING);

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "always", style: "narrow" });
const UNITS = [
  ["second", 1000],
  ["minute", 60_000],
  ["hour", 3_600_000],
  ["day", 86_400_000],
];
const RECENT_MS = 7 * 86_400_000;

/** A time of the last or the next week as "5 min. ago", another one as its date. */
export function ago(text, now = Date.now()) {
  const difference = new Date(text) - now;
  const size = Math.abs(difference);
  if (size > RECENT_MS) return local.format(new Date(text));
  const [unit, length] = UNITS.findLast(([, each]) => size >= each) ?? UNITS[0];
  return relative.format(Math.round(difference / length), unit);
}

export const date = (text) => (text ? day.format(new Date(text)) : NOTHING);

/** A time as a datetime-local field has it, in the user's time zone; with `seconds` to the second. */
export function localTime(moment, { seconds = false } = {}) {
  const at = new Date(moment);
  const text = new Date(at - at.getTimezoneOffset() * 60_000).toISOString();
  return text.slice(0, seconds ? 19 : 16);
}

/** The value of a datetime-local field, in the user's time zone, as the API's UTC time. */
export const instant = (local) => (local ? new Date(local).toISOString() : null);

/** "3 labels", "1 label". */
export const plural = (value, one, many = `${one}s`) =>
  `${count(value)} ${value === 1 ? one : many}`;

/** "low_confidence" as "low confidence". */
export const words = (code) => (code ? code.replaceAll("_", " ") : NOTHING);
