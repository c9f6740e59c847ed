// The candidate beside the active model: how it does so far.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, ms, NOTHING, percent, points, time, usd } from "../format.js";
import { actionButton, button, card, facts } from "../parts/controls.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { go } from "../router.js";

export async function candidateTab({ signal, may }, room) {
  const show = () =>
    load(
      room,
      () => api("GET", "/v1/models/select", { signal }),
      (selection) => candidateView(selection, { may, show }),
      { signal, keep: true },
    );
  await show();
}

function candidateView(selection, { may, show }) {
  const { shadow, active } = selection;
  if (!shadow) {
    return empty(
      "No candidate runs beside the active model",
      "Select a model with a percentage, and it is asked beside the active one for so many of the answers, without answering anybody.",
      button("To the models", () => go(["models"])),
    );
  }
  const sides = [
    ["Active", shadow.active],
    ["Candidate", shadow.candidate],
  ];
  return [
    card(
      `${shadow.model_id} beside ${active}`,
      facts([
        ["Since", time(shadow.since)],
        ["Of the answers", `${shadow.percent} %`],
        ["Compared", count(shadow.compared)],
        ["Not counted: before a change", count(shadow.outdated)],
        ["The same answer", shadow.compared ? percent(shadow.agree / shadow.compared) : NOTHING],
        ["Failed", count(shadow.failed)],
        ["Its cost", usd(shadow.cost_usd)],
        ["Labelled", count(shadow.labelled)],
        ["Not counted: of the training part", count(shadow.trained)],
        ["Labelers", count(shadow.labelers)],
        [
          "Accuracy against the active",
          shadow.labelled
            ? `${points(shadow.difference)} (${points(shadow.low)} to ${points(shadow.high)})`
            : "no labels yet",
        ],
        ["Labels more that the rules wait for", count(shadow.labels_wanted)],
      ]),
    ),
    table({
      caption: "Side by side, on what is compared",
      rows: sides,
      columns: [
        { head: "Side", cell: ([name]) => name, heading: true },
        { head: "Model", cell: ([, side]) => side.model_id, kind: "wide" },
        {
          head: "Right",
          cell: ([, side]) => (shadow.labelled ? percent(side.right / shadow.labelled) : NOTHING),
          kind: "number",
        },
        {
          head: "A decision",
          cell: ([, side]) => usd(side.mean_cost_usd),
          kind: "number",
        },
        { head: "p50", cell: ([, side]) => ms(side.p50_ms), kind: "number" },
        { head: "p95", cell: ([, side]) => ms(side.p95_ms), kind: "number" },
      ],
    }),
    shadow.notice
      ? h(
          "p",
          {},
          `The rule did not select it (${time(shadow.notice.at)}): ${shadow.notice.message}`,
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
            "Select the candidate",
            async () => {
              await api("POST", "/v1/models/select", {
                body: { model_id: shadow.model_id, expected_active: active },
              });
              notice(`${shadow.model_id} answers from now on.`);
              await show();
            },
            { kind: "main" },
          ),
          actionButton("End the comparison", async () => {
            await api("POST", "/v1/models/select", { body: { model_id: null, type: "shadow" } });
            await show();
          }),
        )
      : null,
  ];
}
