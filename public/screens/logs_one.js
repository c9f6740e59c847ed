// One decision's whole story.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { NOTHING, percent, time, words } from "../format.js";
import { agentName, labelField, labelOf, NO_AGENT, readAgents } from "../parts/agents.js";
import { actionButton, badge, card, facts, link, pageHead } from "../parts/controls.js";
import {
  alternatives,
  attemptsTable,
  decisionFacts,
  prompt,
  stages,
  timing,
} from "../parts/decision.js";
import { load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { address } from "../router.js";

export async function one({ root, query, signal, may }, id) {
  const list = address(["logs"], Object.fromEntries(query));
  const body = h("div", { class: "stack" });
  replace(root, pageHead("One answer", null, link("All answers", list, { size: "small" })), body);
  const show = () =>
    load(
      body,
      () =>
        Promise.all([
          api("GET", `/v1/logs/${encodeURIComponent(id)}`, { signal }),
          readAgents(signal),
        ]),
      ([log, agents]) => story(log, agents, may, show),
      { signal, keep: true },
    );
  await show();
}

function story(log, agents, may, show) {
  return [
    h(
      "section",
      { class: "card stack" },
      h("p", { class: "label-query" }, log.query || "(the text was not stored)"),
      h(
        "div",
        { class: "row" },
        h("strong", {}, log.agent_id === null ? "No answer" : agentName(agents, log.agent_id)),
        badge(String(log.status), log.status === 200 ? "good" : "bad"),
        log.ending === "complete" ? null : badge(words(log.ending), "warn"),
        may("route") && log.query
          ? link("Ask again in the playground", address(["playground"], { q: log.query }), {
              size: "small",
            })
          : null,
      ),
      decisionFacts(log),
      alternatives(log),
    ),
    h(
      "div",
      { class: "columns" },
      card("Stages", stages(log), h("h3", {}, "Where the time went"), timing(log)),
      card(
        "Label and feedback",
        h(
          "div",
          { class: "stack" },
          labelEditor(log, agents, may, show),
          feedback(log, agents),
          history(log, agents),
        ),
      ),
    ),
    card("Attempts", attemptsTable(log.attempts)),
    log.messages
      ? h(
          "details",
          { class: "card" },
          h("summary", {}, "The prompt"),
          h("div", { class: "stack" }, prompt(log.messages)),
        )
      : h(
          "p",
          { class: "help" },
          "The prompt cannot be shown: the agents or the prompt have changed since, the text was not stored, or nothing was decided.",
        ),
    card(
      "Asked by",
      facts([
        ["When", time(log.created_at)],
        ["Kind", log.kind],
        ["Key or user", log.key_id],
        ["User", log.user],
        ["Session", log.session],
        ["Candidates", log.candidates?.join(", ")],
        ["Threshold", percent(log.threshold)],
        ["Request", h("span", { class: "code" }, log.request_id)],
        ["Trace", log.trace_id ? h("span", { class: "code" }, log.trace_id) : null],
        ["Prompt version", log.prompt_version],
        ["Agents' revision", h("span", { class: "code" }, log.agents_revision)],
      ]),
      log.metadata ? h("pre", { tabindex: "0" }, JSON.stringify(log.metadata, null, 2)) : null,
    ),
    h(
      "details",
      { class: "card" },
      h("summary", {}, "The whole record"),
      h("pre", { tabindex: "0" }, JSON.stringify(log, null, 2)),
    ),
  ];
}

function labelEditor(log, agents, may, show) {
  const now = log.label;
  const text = now
    ? h(
        "p",
        {},
        "The right agent is ",
        h("strong", {}, agentName(agents, now.agent_id)),
        h("span", { class: "help" }, `, says ${now.labeler}, ${time(now.created_at)}`),
      )
    : h("p", { class: "soft" }, "Not labelled yet.");
  if (!may("label") || !log.query_hash) return text;
  const choice = labelField(agents, now ? (now.agent_id ?? NO_AGENT) : log.agent_id);
  const path = `/v1/logs/${log.id}/label`;
  const write = async (act) => {
    await act();
    notice("The label is saved.");
    await show();
  };
  return [
    text,
    choice.element,
    h(
      "div",
      { class: "row" },
      actionButton(
        "Save the label",
        () => write(() => api("PUT", path, { body: { agent_id: labelOf(choice) } })),
        { kind: "main", size: "small" },
      ),
      now
        ? actionButton("Take back your label", () => write(() => api("DELETE", path)), {
            size: "small",
          })
        : null,
    ),
  ];
}

function feedback({ feedback: given }, agents) {
  if (!given.length) return h("p", { class: "soft" }, "No feedback.");
  return h(
    "ul",
    { class: "checklist" },
    given.map((one) =>
      h(
        "li",
        {},
        badge(one.value, one.value === "up" ? "good" : "bad"),
        h(
          "span",
          {},
          one.correct_agent ? `should be ${agentName(agents, one.correct_agent)} ` : "",
          one.comment ?? "",
        ),
      ),
    ),
  );
}

function history({ label_history: changes }, agents) {
  if (changes.length < 2) return null;
  return h(
    "details",
    {},
    h("summary", {}, `${changes.length} entries in the label's history`),
    table({
      caption: "History of the label",
      hideCaption: true,
      rows: changes,
      columns: [
        { head: "When", cell: (one) => time(one.created_at), heading: true },
        {
          head: "Agent",
          cell: (one) => (one.removed ? "taken away" : agentName(agents, one.agent_id)),
        },
        { head: "By", cell: (one) => one.labeler },
        { head: "Note", cell: (one) => one.note ?? NOTHING, kind: "wide" },
      ],
    }),
  );
}
