// The classifier: trained on the labels; when enabled it decides before the LLM.

import { api, listAll } from "../api.js";
import { h } from "../dom.js";
import { bytes, count, NOTHING, percent, plural, time } from "../format.js";
import { actionButton, badge, button, facts, link } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { formDialog } from "../parts/form.js";
import { copyIcon } from "../parts/ids.js";
import { cancelButton, followJobs, isActive, stateBadge } from "../parts/job.js";
import { empty } from "../parts/loading.js";
import { readNames } from "../parts/names.js";
import { notice } from "../parts/notice.js";
import { inPageWords } from "../parts/page_words.js";
import { readRouters, routerField } from "../parts/routers.js";
import { table } from "../parts/table.js";
import { currentTrainingNeeds } from "../parts/training_needs.js";
import { address } from "../router.js";
import { agentCard } from "./models_classifier_agents.js";
import { targetHint } from "./models_classifier_curve.js";
import { driftCard } from "./models_classifier_drift.js";
import { followUpsCard } from "./models_classifier_follow_ups.js";
import { classifierView } from "./models_classifier_one.js";
import { robustnessCard } from "./models_classifier_robustness.js";
import { shortlistCard } from "./models_classifier_shortlist.js";
import { suspectTable } from "./models_classifier_suspects.js";
import { selectClassifier } from "./models_select.js";

export async function classifierTab(page, container) {
  const { path, signal, may } = page;
  const [, id] = path;
  if (id) {
    await classifierView(page, container, id);
    return;
  }
  const read = async () => {
    const [classifiers, config, ...others] = await Promise.all([
      listAll("/v1/classifiers", { signal }),
      api("GET", "/v1/config", { signal }),
      api("GET", "/v1/analytics", { signal }),
      api("GET", "/v1/labels/suspects", { signal }),
      readRouters(signal),
      readNames(page),
    ]);
    const hinted = ofHint(classifiers, config);
    const curve = hinted
      ? await api("GET", `/v1/classifiers/${hinted.id}/curve`, { signal })
      : null;
    return [classifiers, config, curve, ...others];
  };
  const render = ([classifiers, config, curve, analytics, suspects, routers], follow) => {
    const { drift } = analytics.classifier;
    return [
      view(classifiers, config, { curve, drift, routers, may, show: follow }),
      suspects.data.length ? suspectTable(suspects, { may, show: follow }) : null,
    ];
  };
  const active = ([classifiers]) => classifiers.some((one) => isActive(one.state));
  await followJobs(container, read, render, { signal, active });
}

/** The active classifier, or the newest one that was measured if none is active. */
const ofHint = (classifiers, config) =>
  classifiers.find(({ id }) => id === config.classifier.value) ??
  classifiers.find(({ metrics, options }) => metrics && !options.router);

/** The second classifier, which also sees the vector of the embedding model. */
function secondLine({ model_id: model, state, error, refusal, metrics, gain }) {
  const why = error ?? refusal;
  if (why) return h("span", { class: "error" }, `second classifier (${model}): ${why}`);
  const found = metrics ? `, coverage ${percent(metrics.coverage)} (cross-validation)` : "";
  const off = gain && !gain.on ? "; off, it costs more than it saves" : "";
  return h("span", { class: "help" }, `second classifier (${model}): ${state}${found}${off}`);
}

function view(classifiers, config, { curve, drift, routers, may, show }) {
  const enabled = config.classifier.value;
  const train = may("admin")
    ? button("Train a classifier", () => startTraining(config, routers, show), { kind: "main" })
    : null;
  if (!classifiers.length) {
    return empty(
      "No classifier yet",
      "A classifier is trained on the labels, in about a minute, inside the Worker. It decides in under a millisecond, without an LLM call. Start with 20 labels per agent.",
      train,
    );
  }
  const active = classifiers.find((one) => one.id === enabled);
  return [
    h(
      "section",
      { class: "card spread selection" },
      facts([
        [
          "Active classifier",
          enabled ? h("a", { href: address(["models", "classifier", enabled]) }, enabled) : "none",
        ],
        ["Precision (test)", active ? testPrecision(active.test_score) : null],
        ["Coverage (test)", active ? percent(testCoverage(active.test_score)) : null],
        ["State", active?.suspended ? h("span", { class: "error" }, active.suspended) : null],
      ]),
      h(
        "div",
        { class: "row" },
        curve?.points.length
          ? link("Compare targets", address(["models", "classifier", curve.classifier_id]), {
              kind: "plain",
            })
          : null,
        train,
        enabled && may("admin")
          ? actionButton("Disable", async () => {
              await api("POST", "/v1/models/select", {
                body: { model_id: null, type: "classifier", expected_active: enabled },
              });
              notice("The classifier is disabled.");
              await show();
            })
          : null,
      ),
    ),
    targetHint(curve),
    driftCard(drift),
    table({
      caption: "Training runs",
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
              h(
                "span",
                { class: "id" },
                h("a", { class: "code", href: address(["models", "classifier", one.id]) }, one.id),
                copyIcon(one.id),
              ),
              h("span", { class: "help" }, time(one.created_at)),
              one.options.router
                ? h("span", { class: "help" }, `for the router ${one.options.router}`)
                : null,
              one.embedding ? secondLine(one.embedding) : null,
              one.error ? h("span", { class: "error" }, inPageWords(one.error)) : null,
              one.rule_outcome && !one.rule_outcome.selected && !one.error
                ? h(
                    "span",
                    { class: "error" },
                    `Not enabled automatically: ${inPageWords(one.rule_outcome.reason)}`,
                  )
                : null,
              // The error of a failed training includes the warnings.
              (one.error ? [] : (one.warnings ?? [])).map((text) =>
                h("span", { class: "help" }, inPageWords(text)),
              ),
            ),
        },
        {
          head: "State",
          cell: (one) => [
            stateBadge(one.state),
            isActive(one.state)
              ? h(
                  "div",
                  { class: "help" },
                  `${one.progress.stage}, ${count(one.progress.visits)} training steps`,
                )
              : null,
          ],
        },
        { head: "Labels", cell: (one) => count(one.labels), kind: "number" },
        { head: "Machine labels", cell: (one) => count(machineLabels(one)), kind: "number" },
        {
          head: "Precision (test)",
          cell: (one) => testPrecision(one.test_score),
        },
        {
          head: "Coverage (test)",
          cell: (one) => percent(testCoverage(one.test_score)),
          kind: "number",
        },
        {
          head: "Precision (cross-validation)",
          cell: (one) => heldOutPrecision(one),
        },
        {
          head: "Coverage (cross-validation)",
          cell: (one) => withInterval(one.metrics, "coverage"),
        },
        {
          head: "Out-of-scope false accepts (test)",
          cell: (one) => falseAccepts(one.test_score),
          kind: "number",
        },
        { head: "Size", cell: (one) => bytes(one.size), kind: "number" },
        {
          head: "Actions",
          kind: "actions",
          cell: (one) => (may("admin") ? actions(one, enabled, show) : null),
        },
      ],
    }),
    active ? agentCard(active) : null,
    followUpsCard(active?.follow_ups),
    shortlistCard(active?.shortlist),
    robustnessCard(active?.robustness),
  ];
}

const falseAccepts = (score) =>
  score?.out_of_scope ? `${count(score.false_accepts)} of ${count(score.out_of_scope)}` : NOTHING;

/** Weighted by the traffic's mix of agents, if that is known. */
const testCoverage = (score) => (score?.traffic ?? score)?.coverage;

/** A share of the metrics with its 95 % interval; trainings from before have none. */
function withInterval(metrics, name) {
  const share = metrics?.[name];
  if (share == null) return NOTHING;
  const [low, high] = [metrics[`${name}_low`], metrics[`${name}_high`]];
  return low == null ? percent(share) : `${percent(share)} (${percent(low)} to ${percent(high)})`;
}

/** Of machine labels it is the agreement with the model, not how often it is right. */
function heldOutPrecision(one) {
  if (!one.metrics) return NOTHING;
  if (one.basis === "agents' texts") return "not measured: it learned agents' texts alone";
  const shown = withInterval(one.metrics, "answered_accuracy");
  if (shown === NOTHING) return NOTHING;
  const answers = one.metrics.answered;
  const of = answers == null ? "" : ` of ${plural(answers, "answer")}`;
  const basis =
    one.basis === "agreement with a model"
      ? `agreement with ${one.basis_model ?? "the model"}`
      : "human labels";
  return `${shown}${of}, ${basis}`;
}

function testPrecision(score) {
  if (!score?.answered) return NOTHING;
  const { precision, low, high } = score.traffic ?? score;
  const mix = score.traffic ? ", weighted by traffic" : "";
  return `${percent(precision)} (${percent(low)} to ${percent(high)}), ${count(score.answered)} of ${plural(score.n, "query", "queries")} answered${mix}`;
}

function actions(one, enabled, show) {
  const path = `/v1/classifiers/${one.id}`;
  if (isActive(one.state)) {
    return cancelButton(path, show, { size: "small", label: `Cancel ${one.id}` });
  }
  return [
    one.state === "succeeded" && one.id !== enabled && !one.options.router
      ? button("Enable", () => selectClassifier(one.id, enabled, show), {
          size: "small",
          label: `Enable ${one.id}`,
        })
      : null,
    one.selected_in.length
      ? badge(one.id === enabled ? "active" : `active in ${one.selected_in.join(", ")}`, "good")
      : button("Delete", () => remove(one, path, show), {
          size: "small",
          kind: "plain",
          label: `Delete ${one.id}`,
        }),
  ];
}

async function startTraining(config, routers, show) {
  const made = await formDialog({
    title: "Train a classifier",
    before: h(
      "div",
      { class: "stack-small" },
      h(
        "p",
        {},
        "The classifier learns from the training split. The validation split sets each agent's threshold.",
      ),
      currentTrainingNeeds(),
    ),
    action: "Train",
    fields: [
      {
        name: "target",
        label: "Target precision",
        type: "number",
        min: 0.5,
        max: 0.9999,
        step: "any",
        value: config.classifier_target.value,
        help: "0.98 means that 98 % of its decisions are correct.",
      },
      {
        name: "min_labels",
        label: "Min labels per agent",
        type: "number",
        min: 1,
        value: config.classifier_min_labels.value,
      },
      ...routerField(
        routers,
        "It is trained on the agents of this router. Select it on the screen Routers.",
      ),
    ],
    onSubmit: (body, idempotencyKey) => api("POST", "/v1/classifiers", { body, idempotencyKey }),
  });
  if (!made) return;
  notice("Training started.");
  await show();
}

async function remove(one, path, show) {
  const done = await confirm({
    title: `Delete ${one.id}?`,
    body: h(
      "p",
      {},
      "The classifier and its metrics are deleted permanently. The labels are kept.",
    ),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", path),
  });
  if (done) await show();
}

/** Decisions of models that it learned from. */
const machineLabels = ({ progress }) =>
  Object.values(progress.machine_labels).reduce((sum, labels) => sum + labels, 0) +
  progress.decisions;
