// Requests over time as bars. A range of them is selected by drag, or with the keyboard.

import { h, replace, s } from "../dom.js";
import { count, plural } from "../format.js";

const PARTS = [
  ["Answered", "good", (one) => one.requests - one.errors - one.fallback_answers],
  ["Fallback", "warn", (one) => one.fallback_answers],
  ["Errors", "bad", (one) => one.errors],
];
const HEIGHT = 100;
const DAY_S = 86_400;
const KEYS = "Arrow keys move, Shift with an arrow key extends, Enter selects the time range.";

/**
 * The answer of GET /v1/logs/histogram as a chart; null without requests. `select(from, to)` gets the
 * ends of a range in unix milliseconds. `note` says what else is to be known of the numbers.
 */
export function histogram(data, select, note = null) {
  const { buckets, interval_seconds: seconds } = data;
  if (!data.total) return null;
  const starts = buckets.map(({ start }) => Date.parse(start));
  const most = Math.max(...buckets.map(({ requests }) => requests));
  let [from, to] = [buckets.length - 1, buckets.length - 1];
  const selection = s("rect", { class: "histogram-selection", height: HEIGHT, width: 0 });
  const chart = s(
    "svg",
    {
      class: "histogram-chart",
      viewBox: `0 0 ${buckets.length} ${HEIGHT}`,
      preserveAspectRatio: "none",
      tabindex: "0",
      role: "slider",
      "aria-label": `Requests over time. ${KEYS}`,
      "aria-valuemin": 0,
      "aria-valuemax": buckets.length - 1,
    },
    buckets.map((bucket, at) => bar(bucket, at, most)),
    selection,
  );
  const readout = h("span", { class: "histogram-readout" });
  const showTotal = () => replace(readout, legend(data.buckets));
  const show = (first, last) => {
    const chosen = buckets.slice(Math.min(first, last), Math.max(first, last) + 1);
    replace(readout, h("span", {}, timeText(chosen, seconds)), legend(chosen));
  };
  const move = (first, last) => {
    [from, to] = [first, last];
    const left = Math.min(from, to);
    selection.setAttribute("x", left);
    selection.setAttribute("width", Math.abs(to - from) + 1);
    const chosen = buckets.slice(left, Math.max(from, to) + 1);
    chart.setAttribute("aria-valuenow", to);
    chart.setAttribute("aria-valuetext", `${timeText(chosen, seconds)}: ${spoken(chosen)}`);
    show(from, to);
  };
  const clear = () => {
    selection.setAttribute("width", 0);
    showTotal();
  };
  const finish = () => select(starts[Math.min(from, to)], endOf(Math.max(from, to)));
  const endOf = (at) => starts[at] + 1000 * seconds;
  const within = (at) => Math.min(Math.max(at, 0), buckets.length - 1);
  const at = (event) => {
    const { left, width } = chart.getBoundingClientRect();
    return within(Math.floor(((event.clientX - left) / width) * buckets.length));
  };
  let dragging = false;
  const on = (name, act) => chart.addEventListener(name, act);
  on("pointerdown", (event) => {
    if (event.button !== 0) return;
    dragging = true;
    chart.setPointerCapture(event.pointerId);
    move(at(event), at(event));
  });
  on("pointermove", (event) => (dragging ? move(from, at(event)) : show(at(event), at(event))));
  on("pointerup", () => {
    if (dragging) finish();
    dragging = false;
  });
  on("pointercancel", () => {
    dragging = false;
    clear();
  });
  on("pointerleave", () => {
    if (!dragging && document.activeElement !== chart) clear();
  });
  on("focus", () => move(from, to));
  on("blur", clear);
  on("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) move(event.shiftKey ? from : within(to + step), within(to + step));
    else if (event.key === "Enter") finish();
    else return;
    event.preventDefault();
  });
  chart.setAttribute("aria-valuenow", to);
  chart.setAttribute("aria-valuetext", `${timeText(buckets, seconds)}: ${spoken(buckets)}`);
  showTotal();
  return h(
    "div",
    { class: "histogram" },
    h("div", { class: "spread small" }, readout, note ? h("span", { class: "muted" }, note) : null),
    chart,
    h(
      "div",
      { class: "spread help", "aria-hidden": "true" },
      h("span", {}, moment(starts[0], seconds)),
      h("span", {}, moment(starts[Math.floor(buckets.length / 2)], seconds)),
      h("span", {}, moment(endOf(buckets.length - 1), seconds)),
    ),
  );
}

/** The parts of a bucket on top of one another; one with few requests can still be seen. */
function bar(bucket, at, most) {
  let y = HEIGHT;
  return PARTS.map(([, kind, value]) => {
    const requests = value(bucket);
    if (requests <= 0) return null;
    const height = Math.max((requests / most) * HEIGHT, 3);
    y = Math.max(y - height, 0);
    return s("rect", {
      class: "histogram-bar",
      "data-kind": kind,
      x: at + 0.1,
      y,
      width: 0.8,
      height,
    });
  });
}

const sumOf = (buckets, value) => buckets.reduce((sum, bucket) => sum + value(bucket), 0);

const legend = (buckets) => [
  h(
    "strong",
    {},
    plural(
      sumOf(buckets, (one) => one.requests),
      "request",
    ),
  ),
  PARTS.map(([name, kind, value]) =>
    h(
      "span",
      { class: "histogram-key", "data-kind": kind },
      `${name} ${count(sumOf(buckets, value))}`,
    ),
  ),
];

const spoken = (buckets) =>
  [
    plural(
      sumOf(buckets, (one) => one.requests),
      "request",
    ),
    ...PARTS.slice(1).map(([name, , value]) => `${name} ${count(sumOf(buckets, value))}`),
  ].join(", ");

function timeText(chosen, seconds) {
  const first = Date.parse(chosen[0].start);
  const end = Date.parse(chosen.at(-1).start) + 1000 * seconds;
  return `${moment(first, seconds)} – ${moment(end, seconds)}`;
}

const date = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const minute = new Intl.DateTimeFormat(undefined, {
  month: "short",
  day: "numeric",
  hour: "numeric",
  minute: "2-digit",
});
const second = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

/** As exact as the bars are wide. */
function moment(at, seconds) {
  if (seconds < 60) return second.format(at);
  return (seconds < DAY_S ? minute : date).format(at);
}
