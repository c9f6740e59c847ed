// Confirms all confident decisions for one agent: each becomes a label, and all can be taken back.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { percent, plural } from "../format.js";
import { agentName, agentOptions } from "../parts/agents.js";
import { contextLine } from "../parts/context.js";
import { actionButton, card, progressBar } from "../parts/controls.js";
import { layerBadge } from "../parts/decision.js";
import { field } from "../parts/form.js";
import { errorPanel, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { address } from "../router.js";

const DEFAULT_CONFIDENCE = 0.95;
const REMOVED_AT_ONCE = 1000; // labels of a request

let last = null; // what was confirmed last, {agent, ids}: it can be taken back until the page is reloaded

/** `onChange()` runs when labels were written or removed. */
export function confirmCard(agents, { signal, onChange }) {
  const enabled = agents.filter((agent) => agent.enabled);
  const fields = [
    field({
      name: "confirm_agent",
      label: "Agent",
      type: "select",
      options: agentOptions(enabled, [null, "Select …"]),
    }),
    field({
      name: "confirm_confidence",
      label: "Confidence at least",
      type: "number",
      min: 0.5,
      max: 1,
      step: "any",
      value: DEFAULT_CONFIDENCE,
    }),
  ];
  const found = h("div", {});
  const outcome = h("div", { role: "status" });
  const show = () => {
    const [agent, least] = fields.map((each) => each.value());
    for (const each of fields) each.show(each.validate());
    if (!agent || least === null || fields.some((each) => each.validate() !== null)) {
      replace(found);
      return undefined;
    }
    const query = { agent, min_confidence: least };
    return load(
      found,
      () => api("GET", "/v1/labels/confirmable", { query, signal }),
      (counted) => countedView(counted, agents, run),
      { signal, keep: true },
    );
  };
  const changed = async () => {
    showOutcome();
    await Promise.all([show(), onChange()]);
  };
  const run = (counted) => confirmAll(counted, { outcome, signal, changed });
  const showOutcome = () => replace(outcome, last ? undoView(agents, changed) : null);
  for (const each of fields) each.element.addEventListener("change", show);
  showOutcome();
  return card(
    "Confirm confident decisions",
    h(
      "p",
      { class: "help" },
      "Labels all waiting queries of an agent whose decision was confident with that agent. These labels are confirmations: they train the classifier, and they never count for accuracy. Only the random sample measures that, so the queries that it shows next are left out.",
    ),
    h(
      "div",
      { class: "filters" },
      fields.map((each) => each.element),
    ),
    outcome,
    found,
  );
}

function countedView(counted, agents, run) {
  const { questions, requests, blind, contradicted, sample } = counted;
  const leftOut = [
    blind ? `${plural(blind, "query", "queries")} of the random sample` : null,
    contradicted
      ? `${plural(contradicted, "query", "queries")} with another decision, a second opinion or feedback against the agent`
      : null,
  ].filter(Boolean);
  const name = agentName(agents, counted.agent_id);
  return h(
    "div",
    { class: "stack" },
    h(
      "p",
      {},
      h("strong", {}, `${plural(questions, "query", "queries")} of ${name}`),
      ` (${plural(requests, "request")} of the newest 8,000; near-duplicates count once).`,
      leftOut.length ? ` Left out: ${leftOut.join("; ")}.` : null,
    ),
    sample.length
      ? [
          sampleTable(sample),
          h(
            "div",
            { class: "row" },
            actionButton(`Confirm ${plural(questions, "query", "queries")}`, () => run(counted), {
              kind: "main",
            }),
          ),
        ]
      : null,
  );
}

const sampleTable = (sample) =>
  table({
    caption: "The least confident of them",
    rows: sample,
    columns: [
      { head: "Query", cell: (one) => [contextLine(one), one.query], kind: "wide", heading: true },
      { head: "Confidence", cell: (one) => percent(one.confidence), kind: "number" },
      { head: "Decided by", cell: (one) => layerBadge(one.layer) },
      {
        head: "Log",
        cell: (one) =>
          h(
            "a",
            {
              href: address(["logs", one.log_id]),
              "aria-label": `Open the log of ${one.query.slice(0, 60)}`,
            },
            "Open",
          ),
      },
    ],
  });

/** Request by request, so that the progress shows and no request is too large. */
async function confirmAll(counted, { outcome, signal, changed }) {
  const { agent_id, min_confidence, newest_log_id, questions } = counted;
  const body = { agent_id, min_confidence, newest_log_id };
  const ids = [];
  let problem = null;
  try {
    for (let remaining = questions; remaining > 0 && !signal.aborted; ) {
      const text = `Confirmed ${ids.length} of ${plural(questions, "query", "queries")}`;
      replace(outcome, progressBar(text, ids.length / questions));
      const idempotencyKey = crypto.randomUUID();
      const part = await api("POST", "/v1/labels/confirm", { body, idempotencyKey });
      ids.push(...part.label_ids);
      last = { agent: agent_id, ids };
      remaining = part.label_ids.length ? part.remaining : 0;
    }
  } catch (error) {
    problem = error;
  }
  if (signal.aborted) return;
  await changed();
  if (problem) outcome.append(errorPanel(problem));
}

function undoView(agents, changed) {
  const { agent, ids } = last;
  return h(
    "div",
    { class: "panel spread", "data-kind": "good" },
    h(
      "span",
      {},
      `${plural(ids.length, "query", "queries")} confirmed for ${agentName(agents, agent)}.`,
    ),
    actionButton(
      "Undo",
      async () => {
        let removed = 0;
        while (ids.length) {
          const body = { label_ids: ids.slice(0, REMOVED_AT_ONCE) };
          removed += (await api("POST", "/v1/labels/remove", { body })).removed;
          ids.splice(0, REMOVED_AT_ONCE);
        }
        last = null;
        notice(`${plural(removed, "label")} removed.`);
        await changed();
      },
      { size: "small" },
    ),
  );
}
