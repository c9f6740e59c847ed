// The classifier: trained on the labels, asked before any model where it is selected.

import { api, everything } from "../api.js";
import { h } from "../dom.js";
import { bytes, count, NOTHING, percent, plural, time } from "../format.js";
import { actionButton, badge, button, card, facts } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { formDialog } from "../parts/form.js";
import { stateBadge, underWay } from "../parts/job.js";
import { empty, load, polling } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { driftCard } from "./models_classifier_drift.js";
import { robustnessCard } from "./models_classifier_robustness.js";
import { selectClassifier } from "./models_select.js";

export async function classifierTab({ signal, may }, room) {
  const read = () =>
    Promise.all([
      everything("/v1/classifiers", { signal }),
      api("GET", "/v1/config", { signal }),
      api("GET", "/v1/analytics", { signal }),
      api("GET", "/v1/labels/suspects", { signal }),
    ]);
  let found = [];
  const show = async () => {
    const shown = await load(
      room,
      read,
      ([classifiers, config, analytics, suspects]) => {
        found = classifiers;
        const { drift } = analytics.classifier;
        return [
          view(classifiers, config, { drift, may, show: follow }),
          suspects.data.length ? suspectTable(suspects, { may, show: follow }) : null,
        ];
      },
      { signal, keep: true, steady: true, retry: () => follow() },
    );
    return shown && found.some((one) => underWay(one.state));
  };
  const follow = polling(show, { signal });
  await follow();
}

function view(classifiers, config, { drift, may, show }) {
  const selected = config.classifier.value;
  const train = may("admin")
    ? button("Train a classifier", () => begin(config, show), { kind: "main" })
    : null;
  if (!classifiers.length) {
    return empty(
      "There is no classifier yet",
      "It learns from the labels, in a minute, inside the Worker. Where it is sure it answers in under a millisecond, without a model call. Give some labels first: twenty for each agent are a beginning.",
      train,
    );
  }
  const active = classifiers.find((one) => one.id === selected);
  return [
    h(
      "section",
      { class: "card spread" },
      facts([
        ["In front of the model", selected ?? "none"],
        ["Precision on the test part", active ? testPrecision(active.test_score) : null],
        ["Coverage on the test part", active ? percent(testCoverage(active.test_score)) : null],
        ["State", active?.suspended ? h("span", { class: "fault" }, active.suspended) : null],
      ]),
      h(
        "div",
        { class: "row" },
        train,
        selected && may("admin")
          ? actionButton("Take it away", async () => {
              await api("POST", "/v1/models/select", {
                body: { model_id: null, type: "classifier", expected_active: selected },
              });
              notice("No classifier stands in front.");
              await show();
            })
          : null,
      ),
    ),
    driftCard(drift),
    table({
      caption: "Trainings",
      rows: classifiers,
      columns: [
        {
          head: "Classifier",
          heading: true,
          kind: "wide",
          cell: (one) =>
            h(
              "div",
              { class: "stack-small" },
              h("span", { class: "code" }, one.id),
              h("span", { class: "help" }, time(one.created_at)),
              one.error ? h("span", { class: "fault" }, one.error) : null,
              one.rule_outcome && !one.rule_outcome.selected && !one.error
                ? h(
                    "span",
                    { class: "fault" },
                    `The retrain rule did not select it: ${one.rule_outcome.reason}`,
                  )
                : null,
              // A failed training has them in its error.
              (one.error ? [] : (one.warnings ?? [])).map((text) =>
                h("span", { class: "help" }, text),
              ),
            ),
        },
        {
          head: "State",
          cell: (one) => [
            stateBadge(one.state),
            underWay(one.state)
              ? h(
                  "div",
                  { class: "help" },
                  `${one.progress.stage}, ${count(one.progress.visits)} looks at a label`,
                )
              : null,
          ],
        },
        { head: "Labels", cell: (one) => count(one.labels), kind: "number" },
        {
          head: "Precision on the test part",
          cell: (one) => testPrecision(one.test_score),
        },
        {
          head: "Coverage on the test part",
          cell: (one) => percent(testCoverage(one.test_score)),
          kind: "number",
        },
        {
          head: "Precision of held-out labels",
          cell: (one) => percent(one.metrics?.answered_accuracy),
          kind: "number",
        },
        {
          head: "Out-of-scope questions answered, test part",
          cell: (one) => answeredOutOfScope(one.test_score),
          kind: "number",
        },
        { head: "Size", cell: (one) => bytes(one.size), kind: "number" },
        {
          head: "Actions",
          kind: "actions",
          cell: (one) => (may("admin") ? actions(one, selected, show) : null),
        },
      ],
    }),
    active?.per_agent ? agentTable(active) : null,
    robustnessCard(active?.robustness),
  ];
}

const answeredOutOfScope = (score) =>
  score?.out_of_scope ? `${count(score.false_accepts)} of ${count(score.out_of_scope)}` : NOTHING;

/** In the mix of the traffic, where it is known. */
const testCoverage = (score) => (score?.traffic ?? score)?.coverage;

function testPrecision(score) {
  if (!score?.answered) return NOTHING;
  const { precision, low, high } = score.traffic ?? score;
  const mix = score.traffic ? ", in the mix of the traffic" : "";
  return `${percent(precision)} (${percent(low)} to ${percent(high)}), ${count(score.answered)} of ${plural(score.n, "question")} answered${mix}`;
}

function actions(one, selected, show) {
  const path = `/v1/classifiers/${one.id}`;
  if (underWay(one.state)) {
    return actionButton(
      "Cancel",
      async () => {
        await api("POST", `${path}/cancel`);
        await show();
      },
      { size: "small", label: `Cancel ${one.id}` },
    );
  }
  return [
    one.state === "succeeded" && one.id !== selected
      ? button("Select", () => selectClassifier(one.id, selected, show), {
          size: "small",
          label: `Select ${one.id}`,
        })
      : null,
    one.id === selected
      ? badge("selected", "good")
      : button("Delete", () => remove(one, path, show), {
          size: "small",
          kind: "plain",
          label: `Delete ${one.id}`,
        }),
  ];
}

async function begin(config, show) {
  const made = await formDialog({
    title: "Train a classifier",
    before: h(
      "p",
      {},
      "It learns from the labels of the training part, and finds on the validation part from where on each agent may be answered.",
    ),
    action: "Train",
    fields: [
      {
        name: "target",
        label: "Right, of what it answers",
        type: "number",
        min: 0.5,
        max: 0.9999,
        step: "any",
        value: config.classifier_target.value,
        help: "A share: 0.98 is 98 %.",
      },
      {
        name: "min_labels",
        label: "Labels that an agent needs to be answered",
        type: "number",
        min: 1,
        value: config.classifier_min_labels.value,
      },
    ],
    onSubmit: (body, once) => api("POST", "/v1/classifiers", { body, once }),
  });
  if (!made) return;
  notice("The training has begun.");
  await show();
}

async function remove(one, path, show) {
  const done = await confirm({
    title: `Delete ${one.id}?`,
    body: h("p", {}, "Its model and metrics are gone for good. The labels stay."),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", path),
  });
  if (done) await show();
}

function agentTable(one) {
  return card(
    "From where on it answers",
    table({
      caption: "By agent",
      hideCaption: true,
      rows: one.per_agent,
      columns: [
        { head: "Agent", cell: (agent) => agent.agent_id, heading: true, kind: "wide" },
        { head: "Labels", cell: (agent) => count(agent.labels), kind: "number" },
        {
          head: "Right, held out",
          cell: (agent) =>
            agent.held_out ? `${count(agent.held_out_right)} of ${count(agent.held_out)}` : NOTHING,
          kind: "number",
        },
        { head: "Sure from", cell: (agent) => percent(agent.threshold), kind: "number" },
        { head: "Why never", cell: (agent) => agent.reason ?? NOTHING, kind: "wide" },
      ],
    }),
  );
}

/** Labels that the newest training takes for wrong. */
function suspectTable(suspects, { may, show }) {
  const give = (one, agent) => async () => {
    await api("POST", "/v1/labels", { body: [{ query: one.query, agent_id: agent }] });
    notice("The label is recorded.");
    await show();
  };
  return card(
    "Labels that are probably wrong",
    table({
      caption: "Held out, the classifier was sure of another agent",
      rows: suspects.data,
      columns: [
        { head: "Question", cell: (one) => one.query, heading: true, kind: "wide" },
        { head: "Label", cell: (one) => one.agent_id ?? "no agent fits" },
        { head: "Classifier", cell: (one) => `${one.predicted}, ${percent(one.score)}` },
        {
          head: "Actions",
          kind: "actions",
          cell: (one) =>
            may("label")
              ? [
                  actionButton("Correct", give(one, one.predicted), {
                    size: "small",
                    label: `Label ${one.query} as ${one.predicted}`,
                  }),
                  actionButton("Keep", give(one, one.agent_id), {
                    size: "small",
                    kind: "plain",
                    label: `Keep the label of ${one.query}`,
                  }),
                ]
              : null,
        },
      ],
    }),
  );
}
