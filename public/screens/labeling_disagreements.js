// Labels that the active model or classifier contradicts, to keep or to correct.

import { api } from "../api.js";
import { h } from "../dom.js";
import { percent } from "../format.js";
import { agentName, readAgents } from "../parts/agents.js";
import { callerLabel } from "../parts/callers.js";
import { contextLine } from "../parts/context.js";
import { actionButton, button } from "../parts/controls.js";
import { layerBadge } from "../parts/decision.js";
import { changeLabel, giveLabel } from "../parts/label_change.js";
import { empty, load } from "../parts/loading.js";
import { readCallerNames } from "../parts/names.js";
import { table } from "../parts/table.js";
import { when } from "../parts/when.js";
import { address } from "../router.js";
import { session } from "../session.js";

const LIMIT = 100;

const FOUND_IN = {
  decision: "decision",
  evaluation: "evaluation",
  training: "training, held out",
};

export async function disagreementsTab({ signal, may }, container) {
  const list = h("div", { class: "stack" });
  container.append(
    h(
      "p",
      { class: "help" },
      "Labels that the active model or classifier contradicts, the most confident first: in its decisions, in the newest evaluation, and in the newest training, which did not learn the label then. Either may be wrong. A label that is given again is not listed any more.",
    ),
    list,
  );
  const show = () =>
    load(
      list,
      () =>
        Promise.all([
          api("GET", "/v1/labels/disagreements", { query: { limit: LIMIT }, signal }),
          readAgents(signal),
          readCallerNames({ may, signal }),
        ]),
      ([page, agents]) => [
        page.data.length
          ? disagreementTable(page.data, agents, show)
          : empty(
              "No disagreements",
              "No label differs from what the active model or classifier decided with a known confidence.",
            ),
        page.has_more
          ? h("p", { class: "help" }, `The ${LIMIT} most confident ones are shown.`)
          : null,
      ],
      { signal, keep: true },
    );
  await show();
}

const disagreementTable = (rows, agents, show) =>
  table({
    caption: "Labels and decisions that differ",
    hideCaption: true,
    rows,
    columns: [
      { head: "Query", cell: (one) => [contextLine(one), one.query], kind: "wide", heading: true },
      {
        head: "Label",
        cell: (one) => [
          agentName(agents, one.agent_id),
          h("div", { class: "help" }, callerLabel(one.labeler)),
        ],
      },
      {
        head: "Decided",
        cell: (one) => [
          agentName(agents, one.predicted),
          h("div", { class: "help" }, percent(one.confidence)),
        ],
      },
      {
        head: "By",
        cell: (one) => [layerBadge(one.layer), h("div", { class: "help" }, foundIn(one))],
      },
      { kind: "actions", cell: (one) => actions(one, agents, show) },
    ],
  });

function foundIn({ found_in: where, log_id: log, decided_at: at }) {
  const text = [FOUND_IN[where], at ? [", ", when(at)] : null];
  return log ? h("a", { href: address(["logs", log]) }, text) : text;
}

function actions(one, agents, show) {
  if (!session.may("label")) return null;
  const name = one.query.slice(0, 60);
  const give = (agentId) => async () => {
    await giveLabel(one, agentId, agents);
    await show();
  };
  const decided = agentName(agents, one.predicted);
  const known = one.predicted === null || agents.some(({ id }) => id === one.predicted);
  return h(
    "div",
    { class: "row" },
    actionButton("Label is right", give(one.agent_id), {
      size: "small",
      label: `Label is right: ${name}`,
    }),
    known
      ? actionButton(`Change to ${decided}`, give(one.predicted), {
          size: "small",
          label: `Change to ${decided}: ${name}`,
        })
      : null,
    button(
      "Change …",
      async () => {
        if (await changeLabel(one, agents)) await show();
      },
      { size: "small", kind: "plain", label: `Change: ${name}` },
    ),
  );
}
