// Playground: a decision, its facts, probabilities and latency, and the feedback on it.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, percent, words } from "../format.js";
import { agentName, labelField, labelOf } from "../parts/agents.js";
import { actionButton, badge, button } from "../parts/controls.js";
import {
  attemptsTable,
  classifierFacts,
  decisionFacts,
  questionFacts,
  scoreBars,
  timing,
} from "../parts/decision.js";
import { openDialog } from "../parts/dialog.js";
import { rerouteButton } from "../parts/misroutes.js";
import { modelInput } from "../parts/model_input.js";
import { notice } from "../parts/notice.js";
import { address } from "../router.js";

const SHOWN_SCORES = 10; // the others are shown on demand
const EMULATED = /^(emulated|stand-in)/; // the second is the former name of the engine

/**
 * A decision as it is shown in a card or a dialog; `model` is its heading if models are compared. `onChoice` gets
 * the option of a clarifying question that was clicked, `onReroute` the decision after this one. With `inNewTab` the link to the log keeps this page open.
 */
export function decisionView(
  decision,
  { agents, may, model = null, onChoice = null, onReroute = () => {}, inNewTab = false },
) {
  const { explanation } = decision;
  const input = explanation && modelInput(explanation);
  return h(
    "div",
    { class: "stack" },
    model ? h("h2", { class: "wrap" }, model) : null,
    h(
      "div",
      { class: "stack-small" },
      h("p", { class: "help" }, headOf(decision)),
      h(model ? "h3" : "h2", { class: "answer" }, titleOf(decision)),
      outcomeView(decision, onChoice),
      decision.agent?.endpoint && !decision.clarify
        ? h("p", { class: "help wrap" }, `${decision.agent.protocol} at ${decision.agent.endpoint}`)
        : null,
    ),
    decision.attempts.some((attempt) => EMULATED.test(attempt.engine ?? ""))
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
      (explanation
        ? h("p", { class: "help" }, `Classifier: ${classifierState(explanation.classifier)}`)
        : null),
    h("h3", {}, "Latency breakdown"),
    timing(decision),
    feedback(decision, { agents, may, onReroute }),
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
    may("read")
      ? h(
          "a",
          { href: address(["logs", decision.id]), target: inNewTab ? "_blank" : null },
          "View log",
        )
      : null,
  );
}

/** A decision in a dialog, for lists of them. */
export function openDecision(query, decision, given) {
  const dialog = openDialog({
    title: "Decision",
    body: [
      h("p", { class: "lines wrap", tabindex: "-1", autofocus: true }, query),
      decisionView(decision, { ...given, inNewTab: true }),
      h(
        "div",
        { class: "form-actions" },
        button("Close", () => dialog.close(), { kind: "main" }),
      ),
    ],
  });
}

function headOf({ agent, clarify, agents }) {
  if (clarify) return "Agents are close";
  if (agents) return "Routed to several agents, first";
  return agent ? "Routed to" : "No agent";
}

export const titleOf = ({ agent, clarify, reason }) =>
  clarify ? "Clarifying question" : (agent?.name ?? words(reason));

/** What the name of the agent does not say: the question with its choices, or the agents of the parts. */
export function outcomeView({ clarify, agents }, onChoice = null) {
  if (clarify) return [h("p", { class: "lines" }, clarify.text), choices(clarify, onChoice)];
  return agents ? sharedAgents(agents) : null;
}

const choices = ({ options }, onChoice) =>
  onChoice
    ? h(
        "div",
        { class: "row", role: "group", "aria-label": "Reply" },
        options.map((option) => button(option.label, () => onChoice(option), { size: "small" })),
      )
    : null;

const sharedAgents = (agents) =>
  h(
    "ol",
    { class: "shared" },
    agents.map(({ name, probability, part }) =>
      h(
        "li",
        {},
        h("strong", {}, name),
        ` ${percent(probability)}`,
        part ? h("p", { class: "help" }, `“${part}”`) : null,
      ),
    ),
  );

/** The ranking that the decision was made from; null if no stage gave a probability. */
function probabilities({ scores, none_probability: none, explanation }) {
  const asked = explanation?.stages.map(questionFacts).find(Boolean) ?? null;
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

function feedback(decision, { agents, may, onReroute }) {
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
  if (may("admin") && decision.agent && !decision.clarify) {
    const after = (next) => {
      row.append(h("a", { href: address(["logs", next.id]) }, "View the next decision"));
      onReroute(next);
    };
    row.append(rerouteButton(decision.id, agents, after));
  }
  if (!may("label")) return row;
  const best = decision.clarify?.options[0] ?? null;
  const choice = labelField(agents, best?.agent_id ?? decision.agent?.id ?? null);
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
