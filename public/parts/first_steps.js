// The first steps of a new installation: a checklist on the Overview, until all are done or it is hidden.

import { api, listAll } from "../api.js";
import { h, replace } from "../dom.js";
import { plural } from "../format.js";
import { badge, button, link, progressBar, showError } from "./controls.js";
import { inPageWords } from "./page_words.js";
import { runPool } from "./pool.js";
import { SAMPLES } from "./samples.js";
import { snippets } from "./snippets.js";

const NAME = "edgeneuro.first_steps"; // "done": all were done, or the user hid them

/** Each step: the scope that it needs, and whether it is done. */
const STEPS = [
  {
    name: "agents",
    scope: "admin",
    title: "Create your agents",
    text: ({ agents }) =>
      agents.some((agent) => agent.demonstration)
        ? "There are demonstration agents. Replace them with your own."
        : "A query is routed to one of your agents.",
    done: ({ agents }) => agents.filter((agent) => !agent.demonstration).length >= 2,
    action: () => small("Agents", "#/agents"),
  },
  {
    name: "queries",
    scope: "route",
    title: "Route first queries",
    text: () => "Send them from your application, or route samples to see how it looks.",
    done: ({ newest }) => newest.data.length > 0,
    action: (context) => [sampleButton(context), small("Playground", "#/playground")],
    more: () => snippets("/v1/route", { query: SAMPLES[0] }).element,
  },
  {
    name: "learning",
    scope: "label",
    title: "Label queries, or let the router learn",
    text: ({ stats, learned }) =>
      learned.state === "off"
        ? `${plural(stats.total.labels, "label")}. ${inPageWords(stats.training.message)}`
        : `${plural(stats.total.labels, "label")}. ${inPageWords(learned.sentence)}`,
    done: ({ stats }) => stats.training.ready,
    action: () => small("Labeling", "#/labeling"),
  },
  {
    name: "classifier",
    scope: "admin",
    title: "Enable a classifier",
    text: () => "It answers most queries in the Worker, without a model call.",
    done: ({ selected }) => selected.classifier !== null,
    action: () => small("Classifier", "#/models/classifier"),
  },
  {
    name: "evaluation",
    scope: "admin",
    title: "Evaluate the models",
    text: () => "Compare models on held-out labels before you select one.",
    done: ({ evaluations }) => evaluations.data.length > 0,
    action: () => small("Evaluations", "#/evaluations"),
  },
  {
    name: "key",
    scope: "admin",
    title: "Create a key for production",
    text: () => "A key with the scope route alone, with a rate limit and a budget.",
    done: ({ keys }) => keys.some((key) => !key.revoked_at && key.scopes.includes("route")),
    action: () => small("API keys", "#/keys"),
  },
];

const small = (title, href) => link(title, href, { size: "small" });

/**
 * Shows the steps that the caller may take. `selection`, `logs`, `learned` and `agents` are the Overview's own
 * requests; `onChange` runs after queries were routed.
 */
export async function firstSteps(
  container,
  { may, signal, selection, logs, learned, agents: listed, onChange },
) {
  const steps = STEPS.filter((step) => may(step.scope));
  if (!steps.length || localStorage.getItem(NAME) || !may("read")) return;
  const optional = (wanted, read) => (wanted ? read() : null);
  const [selected, newest, report, agents, stats, evaluations, keys] = await Promise.all([
    selection,
    logs,
    learned,
    listed,
    api("GET", "/v1/datasets/stats", { signal }),
    api("GET", "/v1/evaluations", { query: { limit: 1 }, signal }),
    optional(may("admin"), () => listAll("/v1/keys", { signal })),
  ]);
  const facts = { selected, newest, learned: report, agents, stats, evaluations, keys };
  const done = steps.filter((step) => step.done(facts));
  if (done.length === steps.length) {
    if (may("admin")) hide(container);
    else replace(container);
    return;
  }
  replace(container, view(steps, new Set(done), facts, { container, signal, onChange }));
}

function hide(container) {
  localStorage.setItem(NAME, "done");
  replace(container);
}

function view(steps, done, facts, context) {
  return h(
    "section",
    { class: "card stack", "aria-label": "First steps" },
    h(
      "div",
      { class: "spread" },
      h("h2", {}, "First steps"),
      button("Hide", () => hide(context.container), { kind: "plain", size: "small" }),
    ),
    progressBar(`${done.size} of ${steps.length} done`, done.size / steps.length),
    h(
      "ol",
      { class: "steps" },
      steps.map((step) => item(step, done.has(step), facts, context)),
    ),
  );
}

function item(step, done, facts, context) {
  return h(
    "li",
    { "data-done": done ? "true" : "false" },
    h("h3", {}, step.title, " ", done ? badge("done", "good") : null),
    done ? null : h("p", { class: "help" }, step.text(facts)),
    done ? null : h("div", { class: "row" }, step.action(context)),
    done ? null : step.more?.(),
  );
}

function sampleButton({ signal, onChange }) {
  const progress = h("span", {});
  const start = button(
    "Route sample queries",
    async () => {
      start.disabled = true;
      try {
        await routeSamples((sent) => {
          replace(
            progress,
            progressBar(`Routed ${sent} of ${SAMPLES.length}`, sent / SAMPLES.length),
          );
        }, signal);
        await onChange();
      } catch (error) {
        start.disabled = false;
        showError(error);
      }
    },
    { kind: "main", size: "small" },
  );
  return [start, progress];
}

/** Routes the samples, several at a time; `onProgress` gets the number that is done. */
async function routeSamples(onProgress, signal) {
  let done = 0;
  const route = async (query) => {
    await api("POST", "/v1/route", { body: { query, user: "sample" }, signal });
    done += 1;
    onProgress(done);
  };
  await runPool(SAMPLES, route, { signal });
}
