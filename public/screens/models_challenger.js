// The challenger: its decisions compared with those of the active model.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, ms, NOTHING, percent, points, time, usd } from "../format.js";
import { actionButton, button, card, facts } from "../parts/controls.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { inPageWords } from "../parts/page_words.js";
import { table } from "../parts/table.js";
import { go } from "../router.js";

export async function challengerTab({ signal, may }, container) {
  const show = () =>
    load(
      container,
      () => api("GET", "/v1/models/select", { signal }),
      (selection) => challengerView(selection, { may, show }),
      { signal, keep: true },
    );
  await show();
}

function challengerView(selection, { may, show }) {
  const { challenger, active } = selection;
  if (!challenger) {
    return empty(
      "No challenger",
      "A challenger decides on the same requests as the active model, only for comparison. To start one, select a model and enter a traffic share.",
      button("Go to Models", () => go(["models"])),
    );
  }
  const sides = [
    ["Active", challenger.active],
    ["Challenger", challenger.challenger],
  ];
  return [
    card(
      `${challenger.model_id} vs. ${active}`,
      facts([
        ["Since", time(challenger.since)],
        ["Traffic share", `${challenger.percent} %`],
        ["Compared", count(challenger.compared)],
        ["Excluded: before a change of agents or models", count(challenger.outdated)],
        [
          "Same decision",
          challenger.compared ? percent(challenger.agree / challenger.compared) : NOTHING,
        ],
        ["Failed", count(challenger.failed)],
        ["Cost", usd(challenger.cost_usd)],
        ["Labeled", count(challenger.labelled)],
        ["Excluded: training split", count(challenger.trained)],
        ["Labelers", count(challenger.labelers)],
        [
          "Accuracy difference",
          challenger.labelled
            ? `${points(challenger.difference)} (${points(challenger.low)} to ${points(challenger.high)})`
            : "no labels yet",
        ],
        ["Labels still needed", count(challenger.labels_wanted)],
      ]),
    ),
    table({
      caption: "Comparison",
      rows: sides,
      columns: [
        { head: "Role", cell: ([name]) => name, heading: true },
        { head: "Model", cell: ([, side]) => side.model_id, kind: "wide" },
        {
          head: "Accuracy",
          cell: ([, side]) =>
            challenger.labelled ? percent(side.right / challenger.labelled) : NOTHING,
          kind: "number",
        },
        {
          head: "Cost per decision",
          cell: ([, side]) => usd(side.mean_cost_usd),
          kind: "number",
        },
        { head: "p50", cell: ([, side]) => ms(side.p50_ms), kind: "number" },
        { head: "p95", cell: ([, side]) => ms(side.p95_ms), kind: "number" },
      ],
    }),
    challenger.notice
      ? h(
          "p",
          {},
          `Not promoted automatically (${time(challenger.notice.at)}): ${inPageWords(challenger.notice.message)}`,
        )
      : null,
    h(
      "p",
      { class: "help" },
      `Auto-promotion: ${selection.auto_promote ? "on" : "off"}. Auto-rollback: ${selection.auto_rollback ? "on" : "off"}. Change them under Settings.`,
    ),
    may("admin")
      ? h(
          "div",
          { class: "row" },
          actionButton(
            "Select challenger",
            async () => {
              await api("POST", "/v1/models/select", {
                body: { model_id: challenger.model_id, expected_active: active },
              });
              notice(`${challenger.model_id} is the active model now.`);
              await show();
            },
            { kind: "main" },
          ),
          actionButton("Stop comparison", async () => {
            await api("POST", "/v1/models/select", {
              body: { model_id: null, type: "challenger" },
            });
            await show();
          }),
        )
      : null,
  ];
}
