// Overview: how today goes, and what needs somebody's attention.

import { api, listAll } from "../api.js";
import { h, replace } from "../dom.js";
import { compact, count, date, ms, percent, plural, usd } from "../format.js";
import { chart } from "../parts/chart.js";
import { button, card, figure, link, pageHead, progressBar, showError } from "../parts/controls.js";
import { LAYERS, layerSeries } from "../parts/layers.js";
import { load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { SAMPLES } from "../parts/samples.js";
import { address } from "../router.js";

const NEARLY_USED = 0.8;
const SOON_DAYS = 60;
const AT_ONCE = 4;

export async function open({ root, signal, may }) {
  const figures = h("div", {});
  const attention = h("div", {});
  const today = h("div", {});
  replace(
    root,
    pageHead("Overview", "The last 24 hours."),
    figures,
    h(
      "div",
      { class: "columns" },
      card("Needs attention", attention),
      card("Answers by layer", today),
    ),
  );
  const show = () => {
    // Both halves of the screen go by these.
    const analytics = api("GET", "/v1/analytics", { signal });
    const selection = api("GET", "/v1/models/select", { signal });
    const logs = api("GET", "/v1/logs", { query: { limit: 1 }, signal });
    const options = { signal, keep: true, retry: () => show() };
    return Promise.all([
      load(
        figures,
        () => Promise.all([analytics, selection, logs]),
        ([day, selected, newest]) => {
          replace(today, series(day, signal));
          return [
            newest.data.length ? null : welcome({ may, signal, onDone: show }),
            headline(day, selected),
          ];
        },
        options,
      ),
      load(
        attention,
        () => findings({ may, signal, analytics, selection }),
        attentionList,
        options,
      ),
    ]);
  };
  await show();
}

function headline({ totals, counting }, selection) {
  const { accuracy } = totals;
  return h(
    "div",
    { class: "figures" },
    figure("Answers", compact(totals.requests), { counts: counting.requests, href: "#/analytics" }),
    figure("Without a model call", percent(totals.without_model_rate), {
      counts: counting.answered_without_model,
    }),
    figure("Accuracy", percent(accuracy.accuracy), {
      note: accuracy.labelled
        ? `${percent(accuracy.low)} to ${percent(accuracy.high)}, ${plural(accuracy.labelled, "random question")}`
        : "no random question is labelled yet",
      counts: counting.accuracy,
    }),
    figure("Cost", usd(totals.cost_usd), {
      note: totals.unpriced_answers
        ? `${plural(totals.unpriced_answers, "answer")} without a price`
        : null,
      counts: counting.cost_usd,
    }),
    figure("95 % answered within", ms(totals.latency_ms.p95), { counts: counting.latency_ms }),
    figure("Active model", h("span", { class: "model-name" }, selection.active), {
      note: selection.classifier
        ? `behind the classifier ${selection.classifier}`
        : "no classifier in front",
      href: "#/models",
    }),
  );
}

function series(analytics, signal) {
  const text = LAYERS.map((layer) => {
    const answers = analytics.series.reduce((sum, period) => sum + (period.layers[layer] ?? 0), 0);
    return `${layer} ${count(answers)}`;
  });
  return chart({
    times: analytics.series.map((period) => Date.parse(period.start) / 1000),
    series: layerSeries(analytics.series),
    stacked: true,
    format: compact,
    label: `Answers of the last 24 hours by layer: ${text.join(", ")}.`,
    signal,
  });
}

function welcome({ may, signal, onDone }) {
  const container = h("div", {});
  const begin = button("Route sample queries", () => run(), { kind: "main" });
  const run = async () => {
    begin.disabled = true;
    try {
      await routeSamples(
        (done) =>
          replace(
            container,
            progressBar(`Routed ${done} of ${SAMPLES.length}`, done / SAMPLES.length),
          ),
        signal,
      );
      await onDone();
    } catch (error) {
      begin.disabled = false;
      showError(error);
    }
  };
  return h(
    "section",
    { class: "panel welcome", "data-kind": "accent" },
    h("h2", {}, "Welcome. Nothing has been routed yet."),
    h(
      "p",
      {},
      "Demonstration agents are there. Route some sample queries, and every chart has something to show; or describe your own agents first.",
    ),
    h(
      "div",
      { class: "row" },
      may("route") ? begin : null,
      may("admin") ? link("Describe agents", "#/agents", { size: "small" }) : null,
      may("route") ? link("Try one query", "#/playground", { size: "small" }) : null,
    ),
    container,
  );
}

/** Several at a time; `onProgress` hears how many are done. */
async function routeSamples(onProgress, signal) {
  const waiting = [...SAMPLES];
  let done = 0;
  const worker = async () => {
    while (waiting.length) {
      const query = waiting.shift();
      await api("POST", "/v1/route", { body: { query, session: "sample" }, signal });
      done += 1;
      onProgress(done);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** What each look finds; a look that fails is itself told. */
async function findings(context) {
  const { may, signal } = context;
  const looks = [
    ...(may("label") ? [["labels", waitingLabels]] : []),
    ["answers", troubledAnswers],
    ["models", modelsThatEnd],
    ["adapters", failedAdapters],
    ["challenger", challengerNews],
    ...(may("admin") ? [["keys", spentBudgets]] : []),
  ];
  const found = await Promise.all(
    looks.map(([name, look]) =>
      look(context).catch((error) => {
        if (signal.aborted || error.status === undefined) throw error;
        return [
          {
            kind: "warn",
            text: `The ${name} could not be looked at: ${error.message}`,
            href: null,
          },
        ];
      }),
    ),
  );
  return found.flat();
}

function attentionList(found) {
  if (!found.length) return h("p", { class: "muted" }, "Nothing. All is well.");
  return h(
    "ul",
    { class: "attention" },
    found.map(({ kind, text, href, action }) =>
      h("li", { "data-kind": kind }, h("span", {}, text), href ? h("a", { href }, action) : null),
    ),
  );
}

async function waitingLabels({ signal }) {
  const queue = await api("GET", "/v1/labels/queue", { query: { limit: 100 }, signal });
  const waiting = queue.data.length;
  if (!waiting) return [];
  const text = `${waiting === 100 ? "100 questions or more wait" : `${plural(waiting, "question")} ${waiting === 1 ? "waits" : "wait"}`} for a label.`;
  return [{ kind: "accent", text, href: "#/labeling", action: "Label" }];
}

async function troubledAnswers({ analytics }) {
  const { totals, classifier } = await analytics;
  const found = [];
  const failed = totals.attempts ? totals.failed_attempts / totals.attempts : 0;
  if (totals.attempts >= 20 && failed > 0.05) {
    found.push({
      kind: "bad",
      text: `${percent(failed)} of the tries of models failed.`,
      href: "#/analytics",
      action: "See why",
    });
  }
  if (totals.errors) {
    const text = `${plural(totals.errors, "request")} ended in an error.`;
    found.push({ kind: "bad", text, href: "#/analytics", action: "See why" });
  }
  if (classifier.alert)
    found.push({
      kind: "warn",
      text: classifier.alert,
      href: "#/models/classifier",
      action: "Train anew",
    });
  return found;
}

async function modelsThatEnd({ signal, selection }) {
  const models = await readModels(signal);
  const { active, fallbacks } = await selection;
  const used = new Set([active, ...fallbacks]);
  const horizon = Date.now() + SOON_DAYS * 86_400_000;
  const found = [];
  for (const model of models) {
    if (model.suspended && model.active)
      found.push({
        kind: "warn",
        text: model.suspended,
        href: "#/models/classifier",
        action: "Train anew",
      });
    if (!used.has(model.id)) continue;
    if (model.status !== "available") {
      found.push({
        kind: "bad",
        text: `${model.id} is selected and ${model.status.replace("_", " ")}.`,
        href: "#/models",
        action: "Select another",
      });
    }
    const end = model.planned_deprecation_date;
    if (model.deprecated) {
      found.push({
        kind: "bad",
        text: `${model.id} is deprecated: it no longer answers.`,
        href: "#/models",
        action: "Select another",
      });
    } else if (end && Date.parse(end) < horizon) {
      found.push({
        kind: "warn",
        text: `${model.id} ends on ${date(end)}.`,
        href: "#/models",
        action: "Select another",
      });
    }
  }
  return found;
}

async function failedAdapters({ signal }) {
  const page = await api("GET", "/v1/loras", { query: { limit: 100 }, signal });
  const failed = page.data
    .filter((lora) => lora.state === "failed")
    .map((lora) => ({
      kind: "bad",
      text: `The adapter ${lora.name} failed at “${lora.error?.step ?? "start"}”.`,
      href: address(["adapters", lora.id]),
      action: "See why",
    }));
  const drift = (page.drift ?? []).map(({ message }) => ({
    kind: "warn",
    text: message,
    href: "#/adapters",
    action: "Look",
  }));
  return [...failed, ...drift];
}

async function challengerNews({ selection }) {
  const { challenger } = await selection;
  if (!challenger) return [];
  const text = `The challenger ${challenger.model_id}: ${plural(challenger.compared, "answer")} compared, ${challenger.labelled} labeled.`;
  return [{ kind: "accent", text, href: "#/models/challenger", action: "Compare" }];
}

async function spentBudgets({ signal }) {
  const keys = await listAll("/v1/keys", { signal });
  return keys
    .filter((key) => key.usage && !key.revoked_at)
    .map((key) => [
      key,
      Math.max(
        key.monthly_token_budget ? key.usage.tokens / key.monthly_token_budget : 0,
        key.monthly_budget_usd ? key.usage.cost_usd / key.monthly_budget_usd : 0,
      ),
    ])
    .filter(([, share]) => share >= NEARLY_USED)
    .map(([key, share]) => ({
      kind: share >= 1 ? "bad" : "warn",
      text: `The key ${key.name} has used ${percent(share, 0)} of its budget for this month.`,
      href: "#/keys",
      action: "Look",
    }));
}
