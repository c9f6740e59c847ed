// One evaluation: its progress, then what came of it.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, percent, time, words } from "../format.js";
import { readAgents } from "../parts/agents.js";
import { callerLabel } from "../parts/callers.js";
import { button, card, facts, link, pageHead, progressBar } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { cancelButton, followJob, isActive, stateBadge } from "../parts/job.js";
import { load } from "../parts/loading.js";
import { readNames } from "../parts/names.js";
import { notice } from "../parts/notice.js";
import { go } from "../router.js";
import { answersCard } from "./evaluations_answers.js";
import { details } from "./evaluations_details.js";
import { differencesCard } from "./evaluations_differences.js";
import { matrixCard } from "./evaluations_matrix.js";
import { contestant, PIPELINE } from "./evaluations_names.js";
import { reliabilityCards } from "./evaluations_reliability.js";
import { resultsView } from "./evaluations_results.js";

export async function showEvaluation({ root, query, signal, may }, id) {
  const body = h("div", { class: "stack" });
  const results = h("div", { class: "stack" });
  replace(
    root,
    pageHead("Evaluation", null, link("All evaluations", "#/evaluations", { size: "small" })),
    body,
    results,
  );
  const path = `/v1/evaluations/${encodeURIComponent(id)}`;
  const render = (evaluation, follow) => {
    if (evaluation.results) showResults(results, { evaluation, query, signal, may });
    return view(evaluation, may, follow);
  };
  await readNames({ may, signal });
  await followJob(body, path, render, { signal });
}

function showResults(container, { evaluation, query, signal, may }) {
  load(
    container,
    () => readAgents(signal),
    (agents) => {
      const answers = answersCard({ evaluation, agents, query, signal, may });
      return [
        resultsView({ evaluation, signal, may }),
        evaluation.model_ids.length > 1 ? differencesCard(evaluation, signal) : null,
        matrixCard(evaluation, agents, query.get("model"), answers.open),
        answers.element,
        reliabilityCards(evaluation, may, signal),
        details(evaluation, signal),
      ];
    },
    { signal },
  );
}

function view(evaluation, may, follow) {
  const running = isActive(evaluation.state);
  return card(
    evaluation.model_ids.map((id) => contestant(evaluation, id)).join(" · "),
    facts([
      ["State", stateBadge(evaluation.state)],
      ["Target", evaluation.target === PIPELINE ? "pipeline" : null],
      ["Label layer", evaluation.label_layer ? "on" : null],
      ["Router", evaluation.router],
      ["Split", words(evaluation.split)],
      ["Queries", count(evaluation.labels)],
      [
        "Labels of disabled agents",
        evaluation.left_out ? `${count(evaluation.left_out)}, not used` : null,
      ],
      [
        "Near-duplicates",
        evaluation.near_duplicates ? `${count(evaluation.near_duplicates)}, not used` : null,
      ],
      ["Started", time(evaluation.created_at)],
      ["Ended", evaluation.finished_at ? time(evaluation.finished_at) : null],
      ["Started by", callerLabel(evaluation.created_by)],
      ["Threshold", percent(evaluation.threshold)],
      ["SHA-256 (labels)", shortened(evaluation.data?.sha256)],
    ]),
    evaluation.error ? h("p", { class: "error" }, evaluation.error) : null,
    running
      ? evaluation.progress.map(({ model_id: id, done, total }) =>
          progressBar(
            `${contestant(evaluation, id)}: ${done} of ${total}`,
            total ? done / total : 0,
          ),
        )
      : null,
    may("admin")
      ? h(
          "div",
          { class: "row" },
          running ? cancelButton(`/v1/evaluations/${evaluation.id}`, follow) : remove(evaluation),
        )
      : null,
  );
}

/** The first digits are enough to compare; the API returns the whole hash. */
const shortened = (hash) => (hash ? `${hash.slice(0, 12)}…` : null);

const remove = ({ id }) =>
  button(
    "Delete",
    async () => {
      const done = await confirm({
        title: "Delete this evaluation?",
        body: h(
          "p",
          {},
          "Its results are deleted too. The promotion check then uses the newest evaluation that is left.",
        ),
        action: "Delete",
        danger: true,
        act: () => api("DELETE", `/v1/evaluations/${id}`),
      });
      if (!done) return;
      notice("Evaluation deleted.");
      go(["evaluations"]);
    },
    { size: "small", kind: "plain" },
  );
