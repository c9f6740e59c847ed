// Playground: the decision on one query, by the router or by several models.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, percent, words } from "../format.js";
import { agentName, labelField, labelOf, readAgents } from "../parts/agents.js";
import { setBusy } from "../parts/busy.js";
import { contextFields } from "../parts/context.js";
import { actionButton, badge, card, facts, link } from "../parts/controls.js";
import {
  attemptsTable,
  classifierFacts,
  decisionFacts,
  ON_NO_FIT,
  questionFacts,
  scoreBars,
  timing,
} from "../parts/decision.js";
import { field, read } from "../parts/form.js";
import { empty, errorPanel, load, spinner } from "../parts/loading.js";
import { rerouteButton } from "../parts/misroutes.js";
import { modelInput } from "../parts/model_input.js";
import { callable, readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { readRouters, routerOptions } from "../parts/routers.js";
import { SAMPLES } from "../parts/samples.js";
import { openTab } from "../parts/tabbed.js";
import { address, saveState } from "../router.js";
import { openOutcomes } from "./playground_outcomes.js";

const MAX_MODELS = 4;
const MAX_SCORES = 250; // as many as the API gives
const SHOWN_SCORES = 10; // the others are shown on demand
const POLICY = { clarify: "Clarifying question", several: "Several agents" };
const ALLOWED = [
  [null, "Default (from settings)"],
  ["true", "Allow"],
  ["false", "Do not allow"],
];
const EMULATED = ["emulated", "stand-in"]; // the second is the former name of the engine

export async function open(page) {
  const views = [["Query", "", openQuery]];
  if (page.may("read")) views.push(["Outcomes", "outcomes", openOutcomes]);
  await openTab(page, "playground", "Playground", "Try how queries are routed.", views);
}

async function openQuery({ query, signal, may }, container) {
  await load(
    container,
    () =>
      may("read")
        ? Promise.all([readAgents(signal), readModels(signal), readRouters(signal)])
        : [[], [], []],
    (known) => playgroundView(known, query, signal, may),
    { signal },
  );
}

function playgroundView([agents, models, routers], query, signal, may) {
  const results = h("div", { class: "columns", "aria-live": "polite" });
  const options = callable(models);
  const text = field({
    name: "query",
    label: "Query",
    type: "textarea",
    rows: 3,
    required: true,
    maxlength: 8000,
    value: query.get("q") ?? "My VPN does not connect",
  });
  const context = contextFields(agents, (name) => query.get(name));
  const compared = field({
    name: "models",
    label: `Compare models (max ${MAX_MODELS})`,
    type: "checks",
    options: options.map((model) => [model.id, model.id]),
  });
  const allowed = field({
    name: "candidates",
    label: "Restrict to agents",
    type: "checks",
    options: agents.filter((agent) => agent.enabled).map((agent) => [agent.id, agent.name]),
  });
  const cache = field({ name: "cache", label: "Use cache", type: "checkbox", value: true });
  const fallback = field({
    name: "fallback",
    label: "Allow fallback",
    type: "checkbox",
    value: true,
  });
  const noFit = field({
    name: "on_no_fit",
    label: "If no agent is found",
    type: "select",
    options: [[null, "Default (from settings)"], ...ON_NO_FIT],
  });
  const router = field({
    name: "router",
    label: "Router",
    type: "select",
    options: routerOptions(routers, null, [null, "The one of my key"]),
  });
  const policy = ["clarify", "several"].map((name) =>
    field({ name, label: POLICY[name], type: "select", options: ALLOWED }),
  );
  const submit = h("button", { class: "button", "data-kind": "main" }, "Route");
  const another = h(
    "button",
    {
      class: "button",
      type: "button",
      onclick: () =>
        (text.element.querySelector("textarea").value =
          SAMPLES[Math.floor(Math.random() * SAMPLES.length)]),
    },
    "Random example",
  );
  const run = async () => {
    let query;
    try {
      ({ query } = read([text]));
    } catch {
      return; // the field shows the error
    }
    const chosen = compared.value();
    if (chosen.length > MAX_MODELS) {
      compared.show(`Select at most ${MAX_MODELS}.`);
      return;
    }
    compared.show(null);
    const before = context.value();
    saveState(["playground"], { q: query, ...before });
    setBusy(submit, true);
    const body = {
      query,
      cache: cache.value(),
      fallback: fallback.value(),
      top_k: MAX_SCORES,
      explain: true,
    };
    if (before !== null) body.context = before;
    if (router.value() !== null) body.router = router.value();
    if (noFit.value() !== null) body.on_no_fit = noFit.value();
    body.policy = Object.fromEntries(
      policy
        .filter((each) => each.value() !== null)
        .map((each) => [each.spec.name, each.value() === "true"]),
    );
    if (allowed.value().length) body.candidates = allowed.value();
    const targets = chosen.length ? chosen : [null];
    const containers = targets.map((model) => card(model ?? null, spinner("Routing …")));
    replace(results, containers);
    await Promise.all(
      targets.map((model, index) =>
        route(containers[index], model === null ? body : { ...body, model }, model),
      ),
    );
    setBusy(submit, false);
  };
  const route = async (container, body, model) => {
    try {
      replace(
        container,
        view(await api("POST", "/v1/route", { body, signal }), agents, may, model),
      );
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.param === "query") text.show(error.message);
      replace(
        container,
        model ? h("h2", {}, model) : null,
        errorPanel(error, () => route(container, body, model)),
      );
    }
  };
  const form = h(
    "form",
    {
      class: "card form",
      onsubmit: (event) => {
        event.preventDefault();
        run();
      },
    },
    text.element,
    context.element,
    h(
      "details",
      {},
      h("summary", {}, "Options"),
      h(
        "div",
        { class: "stack" },
        options.length ? compared.element : null,
        agents.length ? allowed.element : null,
        cache.element,
        fallback.element,
        noFit.element,
        policy.map((each) => each.element),
        routers.length > 1 ? router.element : null,
      ),
    ),
    h("div", { class: "row" }, submit, another),
  );
  const nothingYet =
    agents.length || !may("read")
      ? null
      : empty(
          "No agents yet",
          "Add an agent first, so that there is something to route to.",
          link("Create your agents", "#/agents", { size: "" }),
        );
  return h("div", { class: "stack" }, nothingYet, form, results);
}

function view(decision, agents, may, model) {
  const { explanation } = decision;
  const input = modelInput(explanation);
  return h(
    "div",
    { class: "stack" },
    model ? h("h2", { class: "wrap" }, model) : null,
    h(
      "div",
      {},
      h("p", { class: "help" }, headOf(decision)),
      h(model ? "h3" : "h2", { class: "answer" }, titleOf(decision)),
      decision.clarify ? h("p", { class: "lines" }, decision.clarify.text) : null,
      decision.agents ? sharedAgents(decision.agents) : null,
      decision.agent?.endpoint && !decision.clarify
        ? h("p", { class: "help wrap" }, `${decision.agent.protocol} at ${decision.agent.endpoint}`)
        : null,
    ),
    decision.attempts.some((attempt) => EMULATED.includes(attempt.engine))
      ? h(
          "p",
          { class: "help" },
          badge("emulated model", "warn"),
          " The local emulator of Workers AI answered, not a language model.",
        )
      : null,
    decisionFacts(decision),
    probabilities(decision),
    classifierFacts(decision) ??
      h("p", { class: "help" }, `Classifier: ${classifierState(explanation.classifier)}`),
    h("h3", {}, "Latency breakdown"),
    timing(decision),
    feedback(decision, agents, may),
    h("details", {}, h("summary", {}, "Model calls"), attemptsTable(decision.attempts)),
    input
      ? h("details", {}, h("summary", {}, input.title), h("div", { class: "stack" }, input.content))
      : null,
    h(
      "details",
      {},
      h("summary", {}, "Raw JSON"),
      h("pre", { tabindex: "0" }, JSON.stringify(decision, null, 2)),
    ),
    may("read") ? h("a", { href: address(["logs", decision.id]) }, "View log") : null,
  );
}

function headOf({ agent, clarify, agents }) {
  if (clarify) return "Agents are close";
  if (agents) return "Routed to several agents, first";
  return agent ? "Routed to" : "No agent";
}

const titleOf = ({ agent, clarify, reason }) =>
  clarify ? "Clarifying question" : (agent?.name ?? words(reason));

const sharedAgents = (agents) =>
  facts(
    agents.map(({ name, probability, part }) => [
      name,
      `${percent(probability)}${part ? `: “${part}”` : ""}`,
    ]),
  );

/** The ranking that the decision was made from; null if no stage gave a probability. */
function probabilities({ scores, none_probability: none, explanation }) {
  const asked = explanation.stages.map(questionFacts).find(Boolean) ?? null;
  if (!scores.length && none === null) return asked;
  const first = scores.slice(0, SHOWN_SCORES);
  const others = scores.slice(SHOWN_SCORES);
  return h(
    "div",
    { class: "stack-small" },
    h("h3", {}, "Probabilities"),
    scoreBars({ scores: first, none_probability: none }),
    others.length
      ? h(
          "details",
          {},
          h("summary", {}, `${count(others.length)} more agents`),
          scoreBars({ scores: others, none_probability: null }),
        )
      : null,
    none === null
      ? h("p", { class: "help" }, "The model gave the probability of the agent that it named only.")
      : null,
    asked,
  );
}

/** Why the classifier did not run, without the API's prefix; null: no reason is known. */
const classifierState = (reason) => (reason ? reason.replace(/^not asked: /, "off, ") : "off");

function feedback(decision, agents, may) {
  const send = async (value) => {
    await api("POST", "/v1/feedback", { body: { decision_id: decision.id, value } });
    notice("Feedback saved. The query was added to the label queue.");
  };
  const row = h(
    "div",
    { class: "row" },
    h("span", {}, "Was this correct?"),
    actionButton("Yes", () => send("up"), {
      size: "small",
      label: "Yes, the decision was correct",
    }),
    actionButton("No", () => send("down"), { size: "small", label: "No, the decision was wrong" }),
  );
  if (may("admin") && decision.agent) {
    const after = ({ id }) =>
      row.append(h("a", { href: address(["logs", id]) }, "View the next decision"));
    row.append(rerouteButton(decision.id, agents, after));
  }
  if (!may("label")) return row;
  const choice = labelField(agents, decision.agent?.id ?? null);
  const save = actionButton(
    "Save as label",
    async () => {
      const agentId = labelOf(choice);
      await api("PUT", `/v1/logs/${decision.id}/label`, { body: { agent_id: agentId } });
      notice(`Label saved: ${agentName(agents, agentId)}.`);
    },
    { size: "small" },
  );
  return h(
    "div",
    { class: "stack-small" },
    row,
    h("div", { class: "filters" }, choice.element, save),
  );
}
