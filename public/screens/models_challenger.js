// The challenger, a model that is tried beside the active one: its results so far.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, ms, NOTHING, percent, points, time, usd } from "../format.js";
import { actionButton, button, card, facts } from "../parts/controls.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
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
      "There is no challenger",
      "A challenger is a model that is tried beside the active one: it is asked the same questions, and its answers are only compared. To start one, select a model with a percentage.",
      button("To the models", () => go(["models"])),
    );
  }
  const sides = [
    ["Active", challenger.active],
    ["Challenger", challenger.challenger],
  ];
  return [
    card(
      `${challenger.model_id} against ${active}`,
      facts([
        ["Since", time(challenger.since)],
        ["Share of the answers", `${challenger.percent} %`],
        ["Compared", count(challenger.compared)],
        ["Not counted: from before a change", count(challenger.outdated)],
        [
          "Same decision",
          challenger.compared ? percent(challenger.agree / challenger.compared) : NOTHING,
        ],
        ["Failed", count(challenger.failed)],
        ["Its cost", usd(challenger.cost_usd)],
        ["Labeled", count(challenger.labelled)],
        ["Not counted: in the training part", count(challenger.trained)],
        ["Labelers", count(challenger.labelers)],
        [
          "Accuracy against the active model",
          challenger.labelled
            ? `${points(challenger.difference)} (${points(challenger.low)} to ${points(challenger.high)})`
            : "no labels yet",
        ],
        ["More labels that the rules need", count(challenger.labels_wanted)],
      ]),
    ),
    table({
      caption: "Both models on the compared answers",
      rows: sides,
      columns: [
        { head: "Side", cell: ([name]) => name, heading: true },
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
          `The rule did not select it (${time(challenger.notice.at)}): ${challenger.notice.message}`,
        )
      : null,
    h(
      "p",
      { class: "help" },
      `Promotion by rule is ${selection.auto_promote ? "on" : "off"}, roll-back by rule ${selection.auto_rollback ? "on" : "off"}; both are in the settings.`,
    ),
    may("admin")
      ? h(
          "div",
          { class: "row" },
          actionButton(
            "Select the challenger",
            async () => {
              await api("POST", "/v1/models/select", {
                body: { model_id: challenger.model_id, expected_active: active },
              });
              notice(`${challenger.model_id} is the active model now.`);
              await show();
            },
            { kind: "main" },
          ),
          actionButton("End the comparison", async () => {
            await api("POST", "/v1/models/select", {
              body: { model_id: null, type: "challenger" },
            });
            await show();
          }),
        )
      : null,
  ];
}
