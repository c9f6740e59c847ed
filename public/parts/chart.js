// Charts over time with uPlot, which is loaded with the first chart; drawn in the theme's colors.

import { h } from "../dom.js";
import { onThemeChange } from "../theme.js";

const HEIGHT = 240;
const MAX_POINTS = 96; // with more of them only isolated points are marked
const COLORS = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) => `--chart-${number}`);
let library = null;

async function uPlot() {
  library ??= import("../vendor/uPlot.esm.js").then((module) => {
    document.head.append(h("link", { rel: "stylesheet", href: "vendor/uPlot.min.css" }));
    return module.default;
  });
  return library;
}

/**
 * A chart of `series`, each {label, values, color, dashed}, over `times` in unix seconds. `color` is the
 * number of a color, by default the position. With `hrefOf(at, which)` a click on the place `at` opens that
 * address; `which` is the series whose bar was clicked, null if there is none. `stacked` draws bars on top
 * of one another. Until the pointer is over a time the legend shows their sums, and of lines the newest
 * values. `format` formats a value, `label` describes the chart for screen readers. With `formatX` the x axis has other numbers
 * than times, formatted by it. The y axis begins at `from`. `points` is the size of those of a series.
 * `setValues(index, values)` of the returned element changes those of a series.
 */
export function chart({
  times,
  series,
  stacked = false,
  format,
  formatX,
  hrefOf,
  from = 0,
  label,
  signal,
}) {
  const frame = h("figure", { class: "chart", role: "img", "aria-label": label });
  const heights = stacked
    ? stack(series.map((each) => each.values))
    : series.map((each) => each.values);
  const ended = new AbortController();
  const writeX = formatX ?? ((at) => new Date(at * 1000).toLocaleString());
  const newest = lastKnown(series);
  let plot = null;
  const draw = async () => {
    const Plot = await uPlot().catch(() => null);
    if (Plot === null) {
      frame.replaceChildren("The chart could not be loaded. Reload the page.");
      return;
    }
    if (signal.aborted || !frame.isConnected) return;
    plot?.destroy();
    plot = new Plot(options(Plot), [times, ...heights], frame);
    frame.dataset.stacked = String(stacked);
    if (hrefOf) linkPoints(plot, stacked, hrefOf);
  };
  const options = (Plot) => {
    const style = getComputedStyle(document.documentElement);
    const color = (name) => resolved(style.getPropertyValue(name), frame);
    const axis = {
      stroke: color("--muted"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { show: false },
    };
    return {
      width: Math.max(frame.clientWidth, 200),
      height: HEIGHT,
      cursor: { drag: { x: false, y: false } },
      legend: { live: true },
      scales: {
        x: { time: formatX === undefined },
        y: { range: (_, low, high) => [Math.min(from, low ?? from), top(high)] },
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
          value: (_, at) => (at === null && stacked ? "all" : writeX(at ?? times[newest])),
        },
        ...series.map((each, index) => ({
          label: each.label,
          stroke: color(COLORS[(each.color ?? index) % COLORS.length]),
          fill: stacked ? color(COLORS[(each.color ?? index) % COLORS.length]) : undefined,
          width: stacked ? 0 : 2,
          dash: each.dashed ? [4, 4] : undefined,
          paths: stacked ? Plot.paths.bars({ size: [0.9, 48] }) : undefined,
          points:
            stacked || each.points === 0
              ? { show: false }
              : { show: true, size: each.points ?? 5, filter: shownPoints },
          value: (_plot, _height, _which, at) =>
            format(at === null && stacked ? sum(each.values) : each.values[at ?? newest]),
        })),
      ],
    };
  };
  // Above the highest value remains some room.
  const top = (high) => (high > 0 ? high + (high - from) * 0.06 : 1);
  frame.setValues = (index, values) => {
    series[index].values = values;
    heights[index] = values;
    plot?.setData([times, ...heights]);
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

function linkPoints(plot, stacked, hrefOf) {
  plot.over.style.cursor = "pointer";
  plot.over.addEventListener("click", () => {
    const { idx: at, top } = plot.cursor;
    if (at === null || at === undefined) return;
    const href = hrefOf(at, stacked ? barAt(plot, at, plot.posToVal(top, "y")) : null);
    if (href) location.hash = href;
  });
}

/** The series of a stack of bars that is at the height `value`; null above all of them. */
function barAt(plot, at, value) {
  const heights = plot.data.slice(1).map((each) => each[at]);
  const which = heights.findLastIndex((height) => height >= value);
  return which === -1 ? null : which;
}

/** All points if there are few, else those without a neighbor, which no line shows. */
function shownPoints(plot, which) {
  const values = plot.data[which];
  const there = (value) => value !== null && value !== undefined;
  return values.flatMap((value, at) => {
    const alone = !there(values[at - 1]) && !there(values[at + 1]);
    return there(value) && (alone || values.length <= MAX_POINTS) ? [at] : [];
  });
}

/** The index of the newest value of any of the series. */
function lastKnown(series) {
  const there = (value) => value !== null && value !== undefined;
  return Math.max(0, ...series.map(({ values }) => values.findLastIndex(there)));
}

const sum = (values) => values.reduce((all, value) => all + (value ?? 0), 0);

/** The width of the axis for its longest value. */
const axisSize = (_, values) =>
  16 + 7 * Math.max(4, ...(values ?? []).map((value) => value?.length ?? 0));

/** Sums from the last series up: the tallest is drawn first, the others over it. */
function stack(values) {
  const heights = values.map((each) => [...each]);
  for (let index = values.length - 2; index >= 0; index -= 1) {
    heights[index] = heights[index].map(
      (value, at) => (value ?? 0) + (heights[index + 1][at] ?? 0),
    );
  }
  return heights;
}

/** A canvas does not support light-dark(): the browser computes the color. */
function resolved(color, frame) {
  const probe = h("span", { hidden: false });
  probe.style.color = color;
  frame.append(probe);
  const result = getComputedStyle(probe).color;
  probe.remove();
  return result;
}
