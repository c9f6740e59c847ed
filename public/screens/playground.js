// Playground: one query, one decision, or several models beside each other.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { words } from "../format.js";
import { agentName, labelField, labelOf, readAgents } from "../parts/agents.js";
import { setBusy } from "../parts/busy.js";
import { actionButton, badge, card, link, pageHead } from "../parts/controls.js";
import {
  alternatives,
  attemptsTable,
  classifierFacts,
  decisionFacts,
  ON_NO_FIT,
  prompt,
  timing,
} from "../parts/decision.js";
import { field, read } from "../parts/form.js";
import { empty, errorPanel, load, spinner } from "../parts/loading.js";
import { askable, readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { SAMPLES } from "../parts/samples.js";
import { address, noteState } from "../router.js";

const MAX_MODELS = 4;

export async function open({ root, query, signal, may }) {
  const room = h("div", {});
  replace(
    root,
    pageHead("Playground", "Ask as a user would, and see how the decision comes about."),
    room,
  );
  await load(
    room,
    () => (may("read") ? Promise.all([readAgents(signal), readModels(signal)]) : [[], []]),
    ([agents, models]) => bench(agents, models, query, signal, may),
    { signal },
  );
}

function bench(agents, models, query, signal, may) {
  const results = h("div", { class: "columns", "aria-live": "polite" });
  const choosable = askable(models);
  const text = field({
    name: "query",
    label: "Query",
    type: "textarea",
    rows: 3,
    required: true,
    maxlength: 8000,
    value: query.get("q") ?? "My VPN does not connect",
  });
  const compared = field({
    name: "models",
    label: "Ask these models instead of the whole router, side by side (four at most)",
    type: "checks",
    options: choosable.map((model) => [model.id, model.id]),
  });
  const candidates = field({
    name: "candidates",
    label: "Only these agents",
    type: "checks",
    options: agents.filter((agent) => agent.enabled).map((agent) => [agent.id, agent.name]),
  });
  const cache = field({ name: "cache", label: "Use kept answers", type: "checkbox", value: true });
  const fallback = field({
    name: "fallback",
    label: "Use fallback models and the fallback agent",
    type: "checkbox",
    value: true,
  });
  const noFit = field({
    name: "on_no_fit",
    label: "If no agent is decided on",
    type: "select",
    options: [[null, "As the settings say"], ...ON_NO_FIT],
  });
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
    "Another example",
  );
  const run = async () => {
    let query;
    try {
      ({ query } = read([text]));
    } catch {
      return; // the field has said it
    }
    const chosen = compared.value();
    if (chosen.length > MAX_MODELS) {
      compared.show(`Choose ${MAX_MODELS} at most.`);
      return;
    }
    compared.show(null);
    noteState(["playground"], { q: query });
    setBusy(submit, true);
    const body = {
      query,
      cache: cache.value(),
      fallback: fallback.value(),
      explain: true,
    };
    if (noFit.value() !== null) body.on_no_fit = noFit.value();
    if (candidates.value().length) body.candidates = candidates.value();
    const wanted = chosen.length ? chosen : [null];
    const rooms = wanted.map((model) => card(model ?? null, spinner("Routing …")));
    replace(results, rooms);
    await Promise.all(
      wanted.map((model, index) =>
        ask(rooms[index], model === null ? body : { ...body, model }, model),
      ),
    );
    setBusy(submit, false);
  };
  const ask = async (place, body, model) => {
    try {
      replace(place, view(await api("POST", "/v1/route", { body, signal }), agents, may, model));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.param === "query") text.show(error.message);
      replace(
        place,
        model ? h("h2", {}, model) : null,
        errorPanel(error, () => ask(place, body, model)),
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
    h(
      "details",
      {},
      h("summary", {}, "Compare models, narrow the agents"),
      h(
        "div",
        { class: "stack" },
        choosable.length ? compared.element : null,
        agents.length ? candidates.element : null,
        cache.element,
        fallback.element,
        noFit.element,
      ),
    ),
    h("div", { class: "row" }, submit, another),
  );
  const nothingYet =
    agents.length || !may("read")
      ? null
      : empty(
          "There is no agent yet",
          "Describe one first, so that there is somebody to route to.",
          link("Describe agents", "#/agents", { size: "" }),
        );
  return h("div", { class: "stack" }, nothingYet, form, results);
}

function view(decision, agents, may, model) {
  const { explanation } = decision;
  return h(
    "div",
    { class: "stack" },
    model ? h("h2", { class: "wrap" }, model) : null,
    h(
      "div",
      {},
      h("p", { class: "help" }, decision.agent ? "Answers" : "Nobody answers"),
      h(model ? "h3" : "h2", { class: "answer" }, decision.agent?.name ?? words(decision.reason)),
      decision.agent?.endpoint
        ? h("p", { class: "help wrap" }, `${decision.agent.protocol} at ${decision.agent.endpoint}`)
        : null,
    ),
    decision.attempts.some((attempt) => attempt.engine === "stand-in")
      ? h(
          "p",
          { class: "help" },
          badge("stand-in", "warn"),
          " answered by this machine's stand-in for Workers AI, not by a model.",
        )
      : null,
    decisionFacts(decision),
    alternatives(decision),
    classifierFacts(decision) ??
      h("p", { class: "help" }, `Classifier ${explanation.classifier ?? "not asked"}.`),
    h("h3", {}, "Where the time went"),
    timing(decision),
    feedback(decision, agents, may),
    h("details", {}, h("summary", {}, "Attempts"), attemptsTable(decision.attempts)),
    h(
      "details",
      {},
      h("summary", {}, "The prompt"),
      h("div", { class: "stack" }, prompt(explanation.messages)),
    ),
    h(
      "details",
      {},
      h("summary", {}, "The whole decision"),
      h("pre", { tabindex: "0" }, JSON.stringify(decision, null, 2)),
    ),
    may("read") ? h("a", { href: address(["logs", decision.id]) }, "Its entry in the logs") : null,
  );
}

function feedback(decision, agents, may) {
  const send = async (value) => {
    await api("POST", "/v1/feedback", { body: { decision_id: decision.id, value } });
    notice("Thank you. It is noted, and the question comes up for labelling.");
  };
  const row = h(
    "div",
    { class: "row" },
    h("span", {}, "Was it right?"),
    actionButton("Yes", () => send("up"), { size: "small", label: "Yes, the answer was right" }),
    actionButton("No", () => send("down"), { size: "small", label: "No, the answer was wrong" }),
  );
  if (!may("label")) return row;
  const choice = labelField(agents, decision.agent?.id ?? null);
  const save = actionButton(
    "Save as label",
    async () => {
      const agentId = labelOf(choice);
      await api("PUT", `/v1/logs/${decision.id}/label`, { body: { agent_id: agentId } });
      notice(`Labelled: ${agentName(agents, agentId)}.`);
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
