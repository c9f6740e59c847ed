// One query of the label queue: what was decided, the suggestions, and the agents with their keys.

import { h } from "../dom.js";
import { count, percent, words } from "../format.js";
import { SUGGESTION_KEYS } from "../parts/agent_keys.js";
import { agentName, OUT_OF_SCOPE } from "../parts/agents.js";
import { previousTurn } from "../parts/context.js";
import { badge, button, link } from "../parts/controls.js";
import { layerBadge, stageName } from "../parts/decision.js";
import { address } from "../router.js";
import { agentSearch } from "./labeling_search.js";

const MAX_WITHOUT_SEARCH = 9;
const FULL = "edgeneuro.full_descriptions";
const NONE = { id: null, name: OUT_OF_SCOPE, description: "No agent is right for this query." };

/**
 * The agent that the router decided on, null if it found that none fits; undefined: it did not decide, or the
 * agent was deleted since.
 */
export function decisionOf({ stream, agent_id, layer, reason }, agents) {
  if (stream === "random") return undefined; // shown blind
  if (reason === "out_of_scope") return null;
  return layer === "fallback" || !exists(agents, agent_id) ? undefined : agent_id;
}

const exists = (agents, id) => agents.some((agent) => agent.id === id);

/** The agent that the key of a suggestion chooses: an id or null; undefined if there is none. */
export const suggested = (item, key, agents) =>
  suggestionsOf(item, agents)[SUGGESTION_KEYS.indexOf(key)]?.agent_id;

/** Those that can be a label: a deleted agent cannot. */
const suggestionsOf = ({ suggestions }, agents) =>
  suggestions.filter(({ agent_id: id }) => id === null || exists(agents, id));

/** `keyed` are [key, agent]. A blind item shows only the query and the turn before it. */
export function itemView(item, keyed, agents, act) {
  const blind = item.stream === "random";
  const decided = decisionOf(item, agents);
  const choices = [...keyed.filter(([key]) => key !== null), ["0", NONE]];
  return h(
    "section",
    { class: "card stack label-item" },
    blind ? blindSign() : null,
    previousTurn(item, agents),
    h("p", { class: "label-query" }, item.query),
    blind ? null : decisionLines(item, agents),
    suggestionsView(item, agents, act),
    choicesView(choices, decided, act),
    keyed.length > MAX_WITHOUT_SEARCH ? agentSearch(keyed, act) : null,
    h(
      "div",
      { class: "row" },
      decided === undefined
        ? null
        : button(["Confirm ", h("kbd", {}, "Enter")], act.confirm, { kind: "main" }),
      button(["Skip ", h("kbd", {}, "S")], act.skip),
      button(["Undo ", h("kbd", {}, "U")], act.undo),
      blind ? null : link("Open trace", address(["logs", item.log_id]), { kind: "plain" }),
    ),
  );
}

const blindSign = () =>
  h(
    "p",
    { class: "blind-sign", role: "note" },
    badge("Blind", "warn"),
    " From the random sample. The router's answer is hidden so that it cannot influence you: only these labels measure accuracy.",
  );

function decisionLines(item, agents) {
  return [
    h(
      "div",
      { class: "row small" },
      h("span", {}, decisionText(item, agents)),
      layerBadge(item.layer),
      item.seen > 1 ? badge(`${count(item.seen)} requests`) : null,
    ),
    h("p", { class: "help" }, "Queued because: ", item.reasons.map(reasonText).join("; "), "."),
  ];
}

function decisionText({ agent_id, layer, reason, unsure_agent, confidence }, agents) {
  const agent = h("strong", {}, agentName(agents, agent_id));
  if (layer === "fallback" || agent_id === null) {
    const found = unsure_agent
      ? `Not confident enough of ${agentName(agents, unsure_agent)}`
      : reason === "out_of_scope"
        ? "No agent fits"
        : `No decision: ${words(reason)}`;
    return [found, agent_id === null ? "" : ["; routed to the fallback ", agent]];
  }
  return ["Routed to ", agent, confidence === null ? "" : `, confidence ${percent(confidence)}`];
}

const reasonText = ({ text, key_ids: keys }) =>
  keys.length ? `${text} (by ${keys.join(", ")})` : text;

/** The most probable agents with their scores; null if there are none. */
function suggestionsView(item, agents, act) {
  const suggestions = suggestionsOf(item, agents);
  if (!suggestions.length) return null;
  const agentOf = (id) => (id === null ? NONE : agents.find((agent) => agent.id === id));
  return h(
    "div",
    { class: "choices suggestions", role: "group", "aria-label": "Suggestions" },
    suggestions.map(({ agent_id: id, score, stage }, place) =>
      choice(SUGGESTION_KEYS[place].toUpperCase(), agentOf(id), act, {
        score: `${percent(score)} by ${stageName(stage)}`,
      }),
    ),
  );
}

function choicesView(choices, decided, act) {
  const grid = h(
    "div",
    { class: "choices", role: "group", "aria-label": "Agents" },
    choices.map(([key, agent]) =>
      choice(key.toUpperCase(), agent, act, { decided: agent.id === decided }),
    ),
  );
  const full = h("input", {
    type: "checkbox",
    id: "full-descriptions",
    checked: localStorage.getItem(FULL) !== null,
    onchange: () => {
      if (full.checked) localStorage.setItem(FULL, "1");
      else localStorage.removeItem(FULL);
      show();
    },
  });
  const show = () => {
    grid.dataset.full = full.checked;
  };
  show();
  return [
    grid,
    h("div", { class: "check small" }, full, h("label", { for: full.id }, "Full descriptions")),
  ];
}

function choice(key, agent, act, { decided = false, score = null }) {
  return h(
    "button",
    {
      class: "button choice",
      type: "button",
      "data-decided": decided ? "true" : null,
      title: agent.description,
      onclick: () => act.label(agent.id),
    },
    h("kbd", {}, key),
    h(
      "span",
      { class: "choice-text" },
      h("span", { class: "wrap" }, agent.name, decided ? [" ", badge("routed", "accent")] : null),
      score ? h("span", { class: "choice-score" }, score) : null,
      agent.description ? h("span", { class: "choice-description" }, agent.description) : null,
    ),
  );
}
