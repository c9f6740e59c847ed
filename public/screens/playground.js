// Playground: the decision on one query, by the router or by several models, and the tabs of the other ways to try
// how queries are routed.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { readAgents } from "../parts/agents.js";
import { setBusy } from "../parts/busy.js";
import { contextFields } from "../parts/context.js";
import { button, card, link } from "../parts/controls.js";
import { field, read } from "../parts/form.js";
import { empty, errorPanel, load, spinner } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { readRouters } from "../parts/routers.js";
import { SAMPLES } from "../parts/samples.js";
import { shortcuts } from "../parts/shortcuts.js";
import { snippets } from "../parts/snippets.js";
import { openTab } from "../parts/tabbed.js";
import { saveState } from "../router.js";
import { conversationView } from "./playground_conversation.js";
import { decisionView, titleOf } from "./playground_decision.js";
import { recentQueries } from "./playground_history.js";
import { manyView } from "./playground_many.js";
import { requestOptions, runOnCtrlEnter, shownFully } from "./playground_options.js";
import { openOutcomes } from "./playground_outcomes.js";

const ROUTE = "/v1/route";

export async function open(page) {
  const views = [
    ["Query", "", (...given) => openWith(queryView, ...given)],
    ["Many queries", "many", (...given) => openWith(manyView, ...given)],
    ["Conversation", "conversation", (...given) => openWith(conversationView, ...given)],
  ];
  if (page.may("read")) views.push(["Outcomes", "outcomes", openOutcomes]);
  await openTab(page, "playground", "Playground", "Try how queries are routed.", views);
}

/** Fills the container with the view of what the caller may know: `known` is empty without the scope `read`. */
async function openWith(view, { query, signal, may }, container) {
  const all = [
    readAgents,
    readModels,
    readRouters,
    (given) => api("GET", "/v1/config", { signal: given }),
  ];
  await load(
    container,
    () => (may("read") ? Promise.all(all.map((each) => each(signal))) : [[], [], [], null]),
    ([agents, models, routers, config]) =>
      view({ agents, models, routers, config, examples: examplesOf(agents), query, signal, may }),
    { signal },
  );
}

/** The agents' own examples; the samples of the demonstration agents if there are none. */
function examplesOf(agents) {
  const examples = agents.filter((agent) => agent.enabled).flatMap((agent) => agent.examples);
  return examples.length ? examples : SAMPLES;
}

/** What the compared models say together; a failed one has no decision. */
function agreement(decisions) {
  const answers = decisions.map((decision) => decision && titleOf(decision));
  if (answers.includes(undefined)) return "Not all models decided";
  const all = answers.length === 2 ? "Both" : `All ${answers.length}`;
  return new Set(answers).size === 1 ? `${all}: ${answers[0]}` : "The models differ";
}

function queryView({ agents, models, routers, config, examples, query, signal, may }) {
  const results = h("div", { class: "columns", "aria-live": "polite" });
  const summary = h("p", { class: "comparison", role: "status" });
  const text = field({
    name: "query",
    label: "Query",
    type: "textarea",
    rows: 3,
    required: true,
    maxlength: 8000,
    value: query.get("q") ?? examples[0],
  });
  const box = text.element.querySelector("textarea");
  let context = contextFields(agents, (name) => query.get(name));
  const options = requestOptions({ agents, models, routers }, { compares: true });
  const setTurn = (value) => {
    const next = contextFields(agents, (name) => value?.[name] ?? null);
    context.element.replaceWith(next.element);
    context = next;
  };
  const submit = h("button", { class: "button", "data-kind": "main" }, "Route");
  shortcuts(signal, "Playground", [{ shown: "Ctrl+Enter", text: "Route the query" }]);
  const another = button("Random example", () => {
    box.value = examples[Math.floor(Math.random() * examples.length)];
    showCode();
  });
  /** The request that the form describes, as an application would send it. */
  const request = () => {
    const before = context.value();
    return {
      query: text.value() ?? "",
      ...(before === null ? {} : { context: before }),
      ...options.body(),
    };
  };
  const code = snippets(ROUTE, request());
  const showCode = () => {
    const [model] = options.models() ?? [];
    code.update({ ...request(), ...(model ? { model } : {}) });
  };
  const runAgain = ({ query, context: before }) => {
    box.value = query;
    setTurn(before);
    showCode();
    run();
  };
  const recent = recentQueries(config, runAgain);
  const run = async () => {
    try {
      read([text]);
    } catch {
      return; // the field shows the error
    }
    const chosen = options.models();
    if (submit.disabled || chosen === null) return;
    const asked = request();
    saveState(["playground"], { q: asked.query, ...asked.context });
    setBusy(submit, true);
    const targets = chosen.length ? chosen : [null];
    const containers = targets.map((model) => card(model, spinner("Routing …")));
    replace(summary);
    replace(results, containers);
    const decisions = await Promise.all(
      targets.map((model, index) =>
        route(containers[index], model === null ? asked : { ...asked, model }, model),
      ),
    );
    const decided =
      chosen.length > 1 ? agreement(decisions) : decisions[0] && titleOf(decisions[0]);
    if (chosen.length > 1) replace(summary, decided);
    if (decided) recent.add({ query: asked.query, context: asked.context ?? null, decided });
    setBusy(submit, false);
  };
  /** Sends an option of a clarifying question as the reply to it. */
  const reply = (asked, clarify) => (option) =>
    runAgain({
      query: option.label,
      context: {
        ...asked.context,
        previous_user: asked.query,
        previous_assistant: clarify.text,
      },
    });
  const route = async (container, asked, model) => {
    try {
      const body = { ...asked, ...shownFully(may) };
      const decision = await api("POST", ROUTE, { body, signal });
      const onChoice = decision.clarify ? reply(asked, decision.clarify) : null;
      replace(container, decisionView(decision, { agents, may, model, onChoice }));
      return decision;
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.param === "query") text.show(error.message);
      replace(
        container,
        model ? h("h2", {}, model) : null,
        errorPanel(error, () => route(container, asked, model)),
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
      oninput: showCode,
      onkeydown: runOnCtrlEnter(run),
    },
    text.element,
    context.element,
    options.element,
    h("details", {}, h("summary", {}, "Code"), code.element),
    h(
      "div",
      { class: "row" },
      submit,
      another,
      h("span", { class: "help" }, h("kbd", {}, "Ctrl+Enter"), " routes"),
    ),
    recent.element,
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
