// The turn before a message: what the same words mean depends on it.

import { h } from "../dom.js";
import { agentLabel, agentName } from "./agents.js";
import { field } from "./form.js";

const HEAD = 160; // characters of a text in a table

/** Fields for the turn before; `given(name)` has their first values, and `value()` is null if all are empty. */
export function contextFields(agents, given) {
  const fields = [
    {
      name: "previous_agent",
      label: "Agent",
      type: "select",
      options: [[null, "Not known"], ...agents.map((agent) => [agent.id, agent.name])],
    },
    { name: "previous_user", label: "The user said", type: "textarea", rows: 2 },
    { name: "previous_assistant", label: "The agent answered", type: "textarea", rows: 2 },
  ].map((spec) => field({ ...spec, value: given(spec.name) }));
  return {
    element: h(
      "details",
      { open: fields.some((each) => each.value() !== null) },
      h("summary", {}, "Previous turn"),
      h(
        "div",
        { class: "stack" },
        fields.map((each) => each.element),
      ),
    ),
    value() {
      const values = fields.map((each) => [each.spec.name, each.value()]);
      const known = values.filter(([, value]) => value !== null);
      return known.length ? Object.fromEntries(known) : null;
    },
  };
}

/** Identifies a question: a text is another one in another context. */
export const questionKey = ({ query, context }) => JSON.stringify([query, context ?? null]);

/** The turn as two lines; null if none is known. */
export function previousTurn({ context }, agents) {
  if (!context) return null;
  const { previous_agent: agent, previous_user: user, previous_assistant: assistant } = context;
  const by = agent ? agentName(agents, agent) : "Answer";
  return h(
    "div",
    { class: "previous-turn", role: "group", "aria-label": "Previous turn" },
    user ? line("User", user) : null,
    assistant || agent ? line(by, assistant ?? "(text not known)") : null,
  );
}

const line = (who, text) => h("p", {}, h("strong", {}, `${who}: `), text);

/** The end of the turn above a query in a table, in one line. */
export function contextLine({ context }) {
  if (!context) return null;
  const { previous_agent: agent, previous_user: user, previous_assistant: assistant } = context;
  const text = assistant ?? user;
  const shown = text && text.length > HEAD ? `…${text.slice(-HEAD)}` : text;
  return h(
    "div",
    { class: "help" },
    ["After", agent && agentLabel(agent), shown && `“${shown}”`].filter(Boolean).join(" "),
  );
}
