// What is remembered of the session of a logged request, and its end.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { NOTHING, time } from "../format.js";
import { agentName } from "../parts/agents.js";
import { badge, button, card, facts, link } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { address } from "../router.js";

const WAITS_FOR = { input: "the user's reply", tools: "the results of its tools" };

/** A card for the session of a log row; null if the row has none. */
export function sessionCard(log, agents, { may, signal }) {
  if (!log.session) return null;
  const body = h("div", {});
  const path = `/v1/sessions/${encodeURIComponent(log.session)}`;
  const query = { key_id: log.key_id };
  const end = async () => {
    const ended = await confirm({
      title: "End this session?",
      body: "The next request with this id begins a new session. Log entries stay.",
      action: "End session",
      danger: true,
      act: () => api("DELETE", path, { query }),
    });
    if (!ended) return;
    notice("Session ended.");
    replace(body, forgotten());
  };
  const endButton = () =>
    may("admin") ? button("End session", end, { size: "small", kind: "danger" }) : null;
  const found = async () => {
    try {
      return await api("GET", path, { query, signal });
    } catch (error) {
      if (error.code === "unknown_session") return null;
      throw error;
    }
  };
  load(
    body,
    found,
    (session) => (session ? [sessionFacts(session, agents), endButton()] : forgotten()),
    { signal },
  );
  return card(
    "Session",
    link("Requests of this session", address(["logs"], { session: log.session }), {
      size: "small",
    }),
    body,
  );
}

const forgotten = () =>
  h("p", { class: "muted" }, "Nothing is remembered: the session has ended, or was idle too long.");

const sessionFacts = (session, agents) =>
  facts([
    ["Agent", session.agent_id === null ? NOTHING : agentName(agents, session.agent_id)],
    ["Waits for", session.waits_for ? badge(WAITS_FOR[session.waits_for], "accent") : null],
    ["Turns", session.turns],
    ["Last message", session.previous_user],
    ["Last answer", session.previous_assistant],
    [
      "Agents with a memory",
      session.agents.map((each) => agentName(agents, each.agent_id)).join(", ") || null,
    ],
    ["Router", session.router],
    ["Last request", time(session.updated_at)],
    ["Expires", time(session.expires_at)],
  ]);
