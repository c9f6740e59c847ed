// Charts over time, by uPlot: loaded when the first one is shown, drawn in the theme's colours.

import { h } from "../dom.js";
import { onThemeChange } from "../theme.js";

const HEIGHT = 240;
const MAX_POINTS = 96; // more run into a line
const COLOURS = [1, 2, 3, 4, 5, 6].map((number) => `--chart-${number}`);
let library = null;

async function uPlot() {
  library ??= import("../vendor/uPlot.esm.js").then((module) => {
    document.head.append(h("link", { rel: "stylesheet", href: "vendor/uPlot.min.css" }));
    return module.default;
  });
  return library;
}

/**
 * A chart of `series`, each {label, values}, over `times` in unix seconds. Stacked ones are drawn
 * on top of one another, as steps, and the legend has their sums until a time is pointed at. `format`
 * writes a value, `label` says to those who cannot see the chart what it shows. With `formatX` the
 * `times` are other numbers, which it writes.
 */
export function chart({ times, series, stacked = false, format, formatX, label, signal }) {
  const frame = h("figure", { class: "chart", role: "img", "aria-label": label });
  const heights = stacked
    ? stack(series.map((each) => each.values))
    : series.map((each) => each.values);
  const ended = new AbortController();
  const writeX = formatX ?? ((at) => new Date(at * 1000).toLocaleString());
  let plot = null;
  const draw = async () => {
    const Plot = await uPlot().catch(() => null);
    if (Plot === null) {
      frame.replaceChildren("The chart could not be loaded. Open the screen again.");
      return;
    }
    if (signal.aborted || !frame.isConnected) return;
    plot?.destroy();
    plot = new Plot(options(Plot), [times, ...heights], frame);
    frame.dataset.stacked = String(stacked);
  };
  const options = (Plot) => {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => resolved(style.getPropertyValue(name), frame);
    const axis = {
      stroke: colour("--soft"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
    };
    return {
      width: Math.max(frame.clientWidth, 200),
      height: HEIGHT,
      cursor: { drag: { x: false, y: false } },
      legend: { live: true },
      scales: {
        x: { time: formatX === undefined },
        y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.06 : 1] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          ...(formatX ? { values: (_, values) => values.map(formatX) } : {}),
        },
        { ...axis, size: axisSize, values: (_, values) => values.map((value) => format(value)) },
      ],
      series: [
        {
          value: (_, at) => (at !== null ? writeX(at) : stacked ? "all" : ""),
        },
        ...series.map((each, index) => ({
          label: each.label,
          stroke: colour(COLOURS[index % COLOURS.length]),
          fill: stacked ? colour(COLOURS[index % COLOURS.length]) : undefined,
          width: stacked ? 0 : 2,
          paths: stacked ? Plot.paths.bars({ size: [0.9, 48] }) : undefined,
          points: stacked ? { show: false } : { show: true, size: 5, filter: shownPoints },
          value: (_plot, _height, _which, at) =>
            at !== null ? format(each.values[at]) : stacked ? format(sum(each.values)) : "",
        })),
      ],
    };
  };
  const observer = new ResizeObserver(() => {
    if (!frame.isConnected) end();
    else if (plot === null) draw();
    else plot.setSize({ width: Math.max(frame.clientWidth, 200), height: HEIGHT });
  });
  const end = () => {
    observer.disconnect();
    ended.abort();
    plot?.destroy();
    plot = null;
  };
  observer.observe(frame);
  onThemeChange(draw, AbortSignal.any([signal, ended.signal]));
  signal.addEventListener("abort", end, { once: true, signal: ended.signal });
  return frame;
}

/** All of them where there are few, else those that no line reaches. */
function shownPoints(plot, which) {
  const values = plot.data[which];
  const there = (value) => value !== null && value !== undefined;
  return values.flatMap((value, at) => {
    const alone = !there(values[at - 1]) && !there(values[at + 1]);
    return there(value) && (alone || values.length <= MAX_POINTS) ? [at] : [];
  });
}

const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0);

/** Wide enough for the longest value. */
const axisSize = (_, values) =>
  16 + 7 * Math.max(4, ...(values ?? []).map((value) => value?.length ?? 0));

/** The tallest first, so that the lower ones are drawn over it. */
function stack(values) {
  const heights = values.map((each) => [...each]);
  for (let index = values.length - 2; index >= 0; index -= 1) {
    heights[index] = heights[index].map(
      (value, at) => (value ?? 0) + (heights[index + 1][at] ?? 0),
    );
  }
  return heights;
}

/** Canvas knows no light-dark(): the browser says what it comes to. */
function resolved(colour, frame) {
  const probe = h("span", { hidden: false });
  probe.style.color = colour;
  frame.append(probe);
  const result = getComputedStyle(probe).color;
  probe.remove();
  return result;
}
