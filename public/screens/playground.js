// Playground: the decision on one query, by the router or by several models.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { readAgents } from "../parts/agents.js";
import { setBusy } from "../parts/busy.js";
import { contextFields } from "../parts/context.js";
import { card, link } from "../parts/controls.js";
import { ON_NO_FIT } from "../parts/decision.js";
import { field, read } from "../parts/form.js";
import { empty, errorPanel, load, spinner } from "../parts/loading.js";
import { callable, readModels } from "../parts/models.js";
import { readRouters, routerOptions } from "../parts/routers.js";
import { SAMPLES } from "../parts/samples.js";
import { shortcuts } from "../parts/shortcuts.js";
import { openTab } from "../parts/tabbed.js";
import { saveState } from "../router.js";
import { decisionView, titleOf } from "./playground_decision.js";
import { openOutcomes } from "./playground_outcomes.js";

const MAX_MODELS = 4;
const MAX_SCORES = 250; // as many as the API gives
const SWITCHES = { cache: "Use cache", fallback: "Allow fallback" };
const POLICY = { clarify: "Clarifying question", several: "Several agents" };
const ALLOWED = [
  [null, "Default (from settings)"],
  ["true", "Allow"],
  ["false", "Do not allow"],
];

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

/** What the compared models say together; a failed one has no decision. */
function agreement(decisions) {
  const answers = decisions.map((decision) => decision && titleOf(decision));
  if (answers.includes(undefined)) return "Not all models decided";
  const all = answers.length === 2 ? "Both" : `All ${answers.length}`;
  return new Set(answers).size === 1 ? `${all}: ${answers[0]}` : "The models differ";
}

function playgroundView([agents, models, routers], query, signal, may) {
  const results = h("div", { class: "columns", "aria-live": "polite" });
  const summary = h("p", { class: "comparison", role: "status" });
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
  const alone = "Off while models are compared: each gives its own decision.";
  const switches = ["cache", "fallback"].map((name) =>
    field({ name, label: SWITCHES[name], type: "checkbox", value: true, help: alone }),
  );
  const compares = () => compared.value().length > 0;
  compared.element.addEventListener("change", () => {
    for (const { element } of switches) {
      const box = element.querySelector("input");
      if (box.disabled !== compares()) box.checked = box.disabled;
      box.disabled = compares();
    }
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
  const examples = agents.filter((agent) => agent.enabled).flatMap((agent) => agent.examples);
  const samples = examples.length ? examples : SAMPLES;
  const submit = h("button", { class: "button", "data-kind": "main" }, "Route");
  const another = h(
    "button",
    {
      class: "button",
      type: "button",
      onclick: () =>
        (text.element.querySelector("textarea").value =
          samples[Math.floor(Math.random() * samples.length)]),
    },
    "Random example",
  );
  shortcuts(signal, "Playground", [{ shown: "Ctrl+Enter", text: "Route the query" }]);
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
      ...Object.fromEntries(switches.map((each) => [each.spec.name, each.value()])),
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
    replace(summary);
    replace(results, containers);
    const decisions = await Promise.all(
      targets.map((model, index) =>
        route(containers[index], model === null ? body : { ...body, model }, model),
      ),
    );
    if (chosen.length > 1) replace(summary, agreement(decisions));
    setBusy(submit, false);
  };
  const route = async (container, body, model) => {
    try {
      const decision = await api("POST", "/v1/route", { body, signal });
      replace(container, decisionView(decision, agents, may, model));
      return decision;
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
      onkeydown: (event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || submit.disabled) return;
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
        switches.map((each) => each.element),
        noFit.element,
        policy.map((each) => each.element),
        routers.length > 1 ? router.element : null,
      ),
    ),
    h(
      "div",
      { class: "row" },
      submit,
      another,
      h("span", { class: "help" }, h("kbd", {}, "Ctrl+Enter"), " routes"),
    ),
  );
  const nothingYet =
    agents.length || !may("read")
      ? null
      : empty(
          "No agents yet",
          "Add an agent first, so that there is something to route to.",
          link("Create your agents", "#/agents", { size: "" }),
        );
  return h("div", { class: "stack" }, nothingYet, form, summary, results);
}
