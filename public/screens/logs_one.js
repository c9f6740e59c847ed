// The trace of one request.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { NOTHING, percent, time, words } from "../format.js";
import { agentName, labelField, labelOf, NO_AGENT, readAgents } from "../parts/agents.js";
import { callerLabel } from "../parts/callers.js";
import { previousTurn } from "../parts/context.js";
import { actionButton, badge, card, facts, link, pageHead } from "../parts/controls.js";
import { attemptsTable, decisionFacts, outcomeBadge, timing } from "../parts/decision.js";
import { idText } from "../parts/ids.js";
import { load } from "../parts/loading.js";
import { readLog } from "../parts/log_row.js";
import {
  chainLinks,
  markButton,
  misrouteBadges,
  rerouteButton,
  signalList,
} from "../parts/misroutes.js";
import { modelInput } from "../parts/model_input.js";
import { readCallerNames } from "../parts/names.js";
import { notice } from "../parts/notice.js";
import { DEFAULT_ROUTER } from "../parts/routers.js";
import { trace } from "../parts/stages.js";
import { table } from "../parts/table.js";
import { when } from "../parts/when.js";
import { address } from "../router.js";
import { sessionCard } from "./logs_session.js";

export async function showLog({ root, query, signal, may }, id) {
  const list = address(["logs"], Object.fromEntries(query));
  const body = h("div", { class: "stack" });
  replace(root, pageHead("Request", null, link("Back to logs", list, { size: "small" })), body);
  const show = () =>
    load(
      body,
      () =>
        Promise.all([readLog(id, signal), readAgents(signal), readCallerNames({ may, signal })]),
      ([log, agents]) =>
        traceView(log, agents, { may, signal, show, at: (other) => address(["logs", other]) }),
      { signal, keep: true },
    );
  await show();
}

/** The trace of a log row. `show()` reads it again, `at(id)` is the address of another one. */
export function traceView(log, agents, { may, signal, show, at }) {
  const input = modelInput(log);
  return [
    h(
      "section",
      { class: "card stack" },
      previousTurn(log, agents),
      h("p", { class: "label-query" }, log.query || "(text not stored)"),
      h(
        "div",
        { class: "row" },
        h("strong", {}, log.agent_id === null ? "No agent" : agentName(agents, log.agent_id)),
        outcomeBadge(log.outcome),
        badge(String(log.status), log.status === 200 ? "good" : "bad"),
        log.ending === "complete" ? null : badge(words(log.ending), "warn"),
        may("route") && log.query
          ? link(
              "Open in playground",
              address(["playground"], { q: log.query, ...known(log.context) }),
              {
                size: "small",
              },
            )
          : null,
        misrouteBadges(log),
        markButton(log, agents, { may, after: show }),
        may("admin") && mayReroute(log) ? rerouteButton(log.id, agents, show) : null,
      ),
      chainLinks(log, at),
      decisionFacts({ ...log, calibrated: wasCalibrated(log) }),
    ),
    h(
      "div",
      { class: "columns" },
      card("Trace", trace(log), h("h3", {}, "Latency breakdown"), timing(log)),
      card(
        "Label and feedback",
        h(
          "div",
          { class: "stack" },
          labelEditor(log, agents, may, show),
          feedback(log, agents),
          signalList(log, agents),
          history(log, agents),
        ),
      ),
    ),
    card("Model calls", attemptsTable(log.attempts)),
    input
      ? h(
          "details",
          { class: "card" },
          h("summary", {}, input.title),
          h("div", { class: "stack" }, input.content),
        )
      : h(
          "p",
          { class: "help" },
          "The prompt is not available: the text was not stored, the agents or the prompt have changed, or the request was not routed.",
        ),
    sessionCard(log, agents, { may, signal }),
    card(
      "Request details",
      facts([
        ["Time", time(log.created_at)],
        ["Kind", log.kind],
        ["Key or user", callerLabel(log.key_id)],
        ["Router", log.router ?? DEFAULT_ROUTER],
        ["User", log.user],
        ["Session", log.session ? idText(log.session) : null],
        ["Allowed agents", log.candidates?.map((id) => agentName(agents, id)).join(", ")],
        ["Threshold", percent(log.threshold)],
        ["Request ID", idText(log.request_id)],
        ["Trace ID", log.trace_id ? idText(log.trace_id) : null],
        ["Prompt version", log.prompt_version],
        ["Agents revision", idText(log.agents_revision)],
      ]),
      log.metadata ? h("pre", { tabindex: "0" }, JSON.stringify(log.metadata, null, 2)) : null,
    ),
    h(
      "details",
      { class: "card" },
      h("summary", {}, "Raw JSON"),
      h("pre", { tabindex: "0" }, JSON.stringify(log, null, 2)),
    ),
  ];
}

/** A decision with its text that was not replaced yet. */
const mayReroute = (log) =>
  log.query_hash !== null && log.agent_id !== null && log.rerouted_to === null;

const known = (context) =>
  Object.fromEntries(Object.entries(context ?? {}).filter(([, value]) => value !== null));

const wasCalibrated = ({ stages }) =>
  stages?.some((stage) => stage.outcome === "decided" && stage.calibrated) ?? false;

function labelEditor(log, agents, may, show) {
  const current = log.label;
  const text = current
    ? h(
        "p",
        {},
        "Label: ",
        h("strong", {}, agentName(agents, current.agent_id)),
        h(
          "span",
          { class: "help" },
          `, by ${callerLabel(current.labeler)}, ${time(current.created_at)}`,
        ),
      )
    : h("p", { class: "muted" }, "Not labeled yet.");
  if (!may("label") || !log.query_hash) return text;
  const choice = labelField(agents, current ? (current.agent_id ?? NO_AGENT) : log.agent_id);
  const path = `/v1/logs/${log.id}/label`;
  const update = async (act, text) => {
    await act();
    notice(text);
    await show();
  };
  return [
    text,
    choice.element,
    h(
      "div",
      { class: "row" },
      actionButton(
        "Save label",
        () =>
          update(() => api("PUT", path, { body: { agent_id: labelOf(choice) } }), "Label saved."),
        { kind: "main", size: "small" },
      ),
      current
        ? actionButton(
            "Remove your label",
            () => update(() => api("DELETE", path), "Label removed."),
            {
              size: "small",
            },
          )
        : null,
    ),
  ];
}

function feedback({ feedback: given }, agents) {
  if (!given.length) return h("p", { class: "muted" }, "No feedback.");
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
          one.correct_agent ? `correct agent: ${agentName(agents, one.correct_agent)} ` : "",
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
    h("summary", {}, `Label history (${changes.length})`),
    table({
      caption: "Label history",
      hideCaption: true,
      rows: changes,
      columns: [
        { head: "Time", cell: (one) => when(one.created_at), heading: true },
        {
          head: "Agent",
          cell: (one) => (one.removed ? "removed" : agentName(agents, one.agent_id)),
        },
        { head: "Labeler", cell: (one) => callerLabel(one.labeler) },
        { head: "Note", cell: (one) => one.note ?? NOTHING, kind: "wide" },
      ],
    }),
  );
}
