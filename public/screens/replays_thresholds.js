// What if, thresholds: what each value of one would have made of the newest logged decisions.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, instant, NOTHING, percent, plural, time } from "../format.js";
import { chart } from "../parts/chart.js";
import { badge, card, figure, link, pageHead } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { empty, load } from "../parts/loading.js";
import { pointSlider } from "../parts/point_slider.js";
import { DEFAULT_ROUTER, readRouters, routerOptions } from "../parts/routers.js";
import { table } from "../parts/table.js";
import { address } from "../router.js";

const SETTINGS = {
  confidence_threshold: "Confidence threshold",
  clarify_margin: "Margin between close agents",
};
const EXPLAINED = {
  confidence_threshold:
    "An agent below the threshold is not decided on: the fallback agent answers, or nobody.",
  clarify_margin:
    "An agent is close if its probability is at most this far below the best one. Then a clarifying question is asked: the figures are those with clarifying questions on.",
};

export async function showThresholds({ root, query, signal, may }) {
  const body = h("div", { class: "stack" });
  replace(
    root,
    pageHead(
      "Thresholds",
      "What other thresholds would have made of the newest logged decisions. No model is called, and nothing is changed.",
      link("All replays", address(["replays"]), { size: "small" }),
    ),
    body,
  );
  await load(
    body,
    () => readRouters(signal),
    (routers) => view(routers, { query, signal, may }),
    {
      signal,
    },
  );
}

function view(routers, { query, signal, may }) {
  const result = h("div", { class: "stack" });
  const show = ({ setting, router = DEFAULT_ROUTER, from }) =>
    load(
      result,
      () => {
        const since = from ? { from: instant(from) } : {};
        const body = { setting, router, ...since };
        return api("POST", "/v1/outcomes/curve", { body, signal });
      },
      (curve) => curveView(curve, { router, may, signal }),
      { signal, keep: true },
    );
  const specs = [
    {
      name: "setting",
      label: "Threshold",
      type: "select",
      options: Object.entries(SETTINGS),
      value: "confidence_threshold",
    },
    ...(routers.length > 1
      ? [
          {
            name: "router",
            label: "Router",
            type: "select",
            options: routerOptions(routers, DEFAULT_ROUTER),
            value: DEFAULT_ROUTER,
          },
        ]
      : []),
    {
      name: "from",
      label: "From",
      type: "datetime-local",
      help: "Empty: the newest 1,000 decisions.",
    },
  ];
  return [filters({ parts: ["replays", "thresholds"], specs, query, show, signal }), result];
}

const total = ({ outcomes, by_model: model }) =>
  Object.values(outcomes).reduce((sum, n) => sum + n, model);
/** Decided for one agent or several. */
const decided = ({ outcomes }) => outcomes.agent + outcomes.agents;
const fallback = ({ outcomes }) => outcomes.fallback + outcomes.none;
const asked = ({ outcomes }) => outcomes.clarify;
const share = (part) => (point) => part(point) / total(point);
const writeValue = ({ value }) => value.toFixed(2);

function curveView(curve, { router, may, signal }) {
  if (!curve.tested)
    return empty(
      "No logged decisions",
      "Choose an earlier time, or route some queries first. They are logged with the probabilities of the agents.",
    );
  const { points, current, setting } = curve;
  const now = points.find(({ value }) => value === current);
  const plot = curveChart(curve, now, signal);
  const step = h("div", { class: "row" });
  const slider = pointSlider({
    name: "value",
    label: SETTINGS[setting],
    points,
    start: now,
    write: writeValue,
    help: `${EXPLAINED[setting]} In force: ${writeValue(now)}.`,
    describe: (point) => figures(point, now),
    onChange(point) {
      plot.mark(point);
      replace(step, point === now ? null : nextStep(setting, point, router, may));
    },
  });
  return card(
    SETTINGS[setting],
    h("p", { class: "help" }, testedText(curve)),
    slider.element,
    step,
    plot.element,
    pointTable(points, now),
  );
}

function testedText(curve) {
  const { tested, unknown, by_label: byLabel, labelled, with_all_agents: full, setting } = curve;
  const parts = [
    `Of ${plural(tested, "decision")} from ${time(curve.from_time)} to ${time(curve.to_time)}; ${plural(labelled, "of them has a label", "of them have a label")}.`,
  ];
  if (unknown)
    parts.push(
      `${plural(unknown, "whose agent is gone is", "whose agents are gone are")} left out.`,
    );
  if (byLabel)
    parts.push(`${plural(byLabel, "that a label made is", "that labels made are")} left out.`);
  if (setting === "clarify_margin" && full < tested)
    parts.push(
      `In ${count(tested - full)} the model named one agent, so it is not known whether another is close.`,
    );
  return parts.join(" ");
}

function nextStep(setting, point, router, may) {
  if (!may("admin")) return null;
  if (router !== DEFAULT_ROUTER)
    return link("Set it for a router in the playground", address(["playground", "outcomes"]));
  const query = { setting, value: point.value };
  return link(`Replay with ${writeValue(point)}`, address(["replays", "new"], query), {
    kind: "main",
  });
}

const ofAll = (part, point) => `${count(part(point))} of ${count(total(point))}`;

function figures(point, now) {
  const change = (part) => (point === now ? "" : `, now ${percent(share(part)(now))}`);
  const tile = (name, part) =>
    figure(name, percent(share(part)(point)), { note: `${ofAll(part, point)}${change(part)}` });
  return h(
    "div",
    { class: "figures" },
    tile("Decided", decided),
    tile("Fallback or no agent", fallback),
    tile("Clarifying question", asked),
    point.by_model
      ? figure("Model needed", count(point.by_model), {
          info: "The classifier decided these, and would not be sure enough: a model would be called, whose decision is not known.",
        })
      : null,
    estimate("Precision of the decided", point.precision, now.precision),
    estimate("Accuracy of all", point.accuracy, now.accuracy),
  );
}

const estimate = (name, { accuracy, low, high, labelled }, now) =>
  figure(name, percent(accuracy), {
    note: labelled
      ? `${percent(low)} to ${percent(high)}, of ${count(labelled)} labeled, now ${percent(now.accuracy)}`
      : "no labels",
  });

function curveChart({ points, setting }, now, signal) {
  const only = (chosen) => points.map((point) => (point === chosen ? share(decided)(point) : null));
  const series = [
    { label: "Decided", values: points.map(share(decided)), color: 0 },
    { label: "Fallback or no agent", values: points.map(share(fallback)), color: 3 },
    { label: "Clarifying question", values: points.map(share(asked)), color: 4 },
    {
      label: "Precision of the decided",
      values: points.map((each) => each.precision.accuracy),
      color: 5,
    },
    { label: "In force", values: only(now), color: 2, points: 12 },
    { label: "Slider", values: only(null), color: 1, points: 9 },
  ];
  const element = chart({
    times: points.map(({ value }) => value),
    series,
    format: (value) => percent(value),
    formatX: (value) => Number(value).toFixed(2),
    label: `Outcomes by ${SETTINGS[setting].toLowerCase()}; the table below has the numbers.`,
    signal,
  });
  return { element, mark: (point) => element.setValues(series.length - 1, only(point)) };
}

const withInterval = ({ accuracy, low, high, labelled }) =>
  labelled
    ? `${percent(accuracy)} (${percent(low)} to ${percent(high)}) of ${count(labelled)}`
    : NOTHING;

const pointTable = (points, now) =>
  table({
    caption: "Outcomes by value",
    rows: points,
    columns: [
      {
        head: "Value",
        heading: true,
        cell: (point) => [
          writeValue(point),
          point === now ? [" ", badge("in force", "accent")] : null,
        ],
      },
      { head: "Decided", cell: (point) => percent(share(decided)(point)), kind: "number" },
      {
        head: "Fallback or no agent",
        cell: (point) => percent(share(fallback)(point)),
        kind: "number",
      },
      {
        head: "Clarifying question",
        cell: (point) => percent(share(asked)(point)),
        kind: "number",
      },
      { head: "Model needed", cell: ({ by_model: n }) => count(n), kind: "number" },
      { head: "Precision of the decided", cell: ({ precision }) => withInterval(precision) },
      { head: "Accuracy of all", cell: ({ accuracy }) => withInterval(accuracy) },
    ],
  });
