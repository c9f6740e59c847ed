// The turn before a message: what the same words mean depends on it.

import { h } from "../dom.js";
import { agentName } from "./agents.js";

const HEAD = 160; // characters of a text in a table

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
    ["After", agent, shown && `“${shown}”`].filter(Boolean).join(" "),
  );
}
