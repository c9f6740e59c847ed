// Overview: metrics of the last 24 hours, and alerts.

import { api, listAll } from "../api.js";
import { h, replace } from "../dom.js";
import { compact, count, date, ms, percent, plural, usd, words } from "../format.js";
import { chart } from "../parts/chart.js";
import { card, figure, pageHead } from "../parts/controls.js";
import { DEFINITIONS } from "../parts/definitions.js";
import { firstSteps } from "../parts/first_steps.js";
import { LAYERS, layerSeries } from "../parts/layers.js";
import { learningView, readLearning } from "../parts/learning.js";
import { load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { savingsByDay, savingsFigure } from "../parts/savings.js";
import { address } from "../router.js";

const BUDGET_ALERT_SHARE = 0.8;
const DEPRECATION_ALERT_DAYS = 60;
const SAVINGS_DAYS = 14;

export async function open({ root, signal, may }) {
  const steps = h("div", {});
  const figures = h("div", {});
  const alerts = h("div", {});
  const today = h("div", {});
  const saved = h("div", {});
  const learning = h("div", { class: "stack" });
  replace(
    root,
    pageHead("Overview", "The last 24 hours."),
    steps,
    figures,
    h("div", { class: "columns" }, card("Alerts", alerts), card("Requests by layer", today)),
    card("Learning", learning),
    card(`Model calls saved, last ${SAVINGS_DAYS} days`, saved),
  );
  const show = () => {
    // Shared by both sections of the screen.
    const analytics = api("GET", "/v1/analytics", { signal });
    const selection = api("GET", "/v1/models/select", { signal });
    const logs = api("GET", "/v1/logs", { query: { limit: 1 }, signal });
    const learned = readLearning(signal);
    const options = { signal, keep: true, retry: () => show() };
    return Promise.all([
      load(
        figures,
        () => Promise.all([analytics, selection]),
        ([day, selected]) => {
          replace(today, series(day, signal));
          return headline(day, selected);
        },
        options,
      ),
      load(
        saved,
        () => api("GET", "/v1/analytics", { query: savingsRange(), signal }),
        ({ savings }) => savingsByDay(savings, signal),
        options,
      ),
      load(
        learning,
        () => learned,
        (report) => learningView(report, { may, onChange: show }),
        options,
      ),
      load(
        alerts,
        () => readAlerts({ may, signal, analytics, selection, learned }),
        alertList,
        options,
      ),
      firstSteps(steps, { may, signal, selection, logs, learned, onChange: show }).catch(
        (error) => {
          // A request that fails: the sections of the screen say so.
          if (error.status === undefined && error.name !== "AbortError") throw error;
        },
      ),
    ]);
  };
  await show();
}

/** Whole days in UTC, today's part too. */
function savingsRange() {
  const first = new Date(Date.now() - (SAVINGS_DAYS - 1) * 86_400_000);
  first.setUTCHours(0, 0, 0, 0);
  return { from: first.toISOString(), interval: "day" };
}

function headline({ totals, savings }, selection) {
  const { accuracy } = totals;
  return h(
    "div",
    { class: "figures" },
    figure("Requests", compact(totals.requests), {
      info: DEFINITIONS.requests,
      href: "#/analytics",
    }),
    figure("Answered without a model", percent(totals.without_model_rate), {
      info: DEFINITIONS.withoutLlm,
    }),
    figure("Accuracy", percent(accuracy.accuracy), {
      note: accuracy.labelled
        ? `${percent(accuracy.low)} to ${percent(accuracy.high)}, ${plural(accuracy.labelled, "sampled request")}`
        : "no labeled random sample yet",
      info: DEFINITIONS.accuracy,
    }),
    figure("Cost", usd(totals.cost_usd), {
      note: totals.unpriced_answers
        ? `${plural(totals.unpriced_answers, "request")} without a price`
        : null,
      info: DEFINITIONS.cost,
    }),
    savingsFigure(savings),
    figure("p95 latency", ms(totals.latency_ms.p95), { info: DEFINITIONS.latency }),
    figure("Active model", h("span", { class: "model-name" }, selection.active), {
      note: selection.classifier ? `classifier ${selection.classifier}` : "no classifier",
      href: "#/models",
    }),
  );
}

function series(analytics, signal) {
  const text = LAYERS.map((layer) => {
    const requests = analytics.series.reduce((sum, period) => sum + (period.layers[layer] ?? 0), 0);
    return `${layer} ${count(requests)}`;
  });
  return chart({
    times: analytics.series.map((period) => Date.parse(period.start) / 1000),
    series: layerSeries(analytics.series),
    stacked: true,
    format: compact,
    label: `Requests of the last 24 hours by layer: ${text.join(", ")}.`,
    signal,
  });
}

/** The alerts of all checks; a check that fails is an alert itself. */
async function readAlerts(context) {
  const { may, signal } = context;
  const checks = [
    ...(may("label") ? [["label queue", queueAlerts]] : []),
    ["analytics", errorAlerts],
    ["models", modelAlerts],
    ["adapters", adapterAlerts],
    ["challenger", challengerAlerts],
    ["learning", learningAlerts],
    ...(may("admin") ? [["API keys", budgetAlerts]] : []),
  ];
  const found = await Promise.all(
    checks.map(([name, check]) =>
      check(context).catch((error) => {
        if (signal.aborted || error.status === undefined) throw error;
        return [
          {
            kind: "warn",
            text: `Could not load: ${name}. ${error.message}`,
            href: null,
          },
        ];
      }),
    ),
  );
  return found.flat();
}

function alertList(found) {
  if (!found.length) return h("p", { class: "muted" }, "No alerts");
  return h(
    "ul",
    { class: "alerts" },
    found.map(({ kind, text, href, action }) =>
      h("li", { "data-kind": kind }, h("span", {}, text), href ? h("a", { href }, action) : null),
    ),
  );
}

async function queueAlerts({ signal }) {
  const queue = await api("GET", "/v1/labels/queue", { query: { limit: 100 }, signal });
  const waiting = queue.data.length;
  if (!waiting) return [];
  const text = `${waiting === 100 ? "100+ requests" : plural(waiting, "request")} to review.`;
  return [{ kind: "accent", text, href: "#/labeling", action: "Label" }];
}

async function errorAlerts({ analytics }) {
  const { totals, classifier } = await analytics;
  const found = [];
  const failed = totals.attempts ? totals.failed_attempts / totals.attempts : 0;
  if (totals.attempts >= 20 && failed > 0.05) {
    found.push({
      kind: "bad",
      text: `${percent(failed)} of the model calls failed.`,
      href: "#/analytics",
      action: "View",
    });
  }
  if (totals.errors) {
    const text = `${plural(totals.errors, "request")} failed.`;
    found.push({ kind: "bad", text, href: "#/analytics", action: "View" });
  }
  if (classifier.alert)
    found.push({
      kind: "warn",
      text: classifier.alert,
      href: "#/models/classifier",
      action: "Retrain",
    });
  return found;
}

async function modelAlerts({ signal, selection }) {
  const models = await readModels(signal);
  const { active, fallbacks } = await selection;
  const used = new Set([active, ...fallbacks]);
  const horizon = Date.now() + DEPRECATION_ALERT_DAYS * 86_400_000;
  const found = [];
  for (const model of models) {
    if (model.suspended && model.active)
      found.push({
        kind: "warn",
        text: model.suspended,
        href: "#/models/classifier",
        action: "Retrain",
      });
    if (!used.has(model.id)) continue;
    if (model.status !== "available") {
      found.push({
        kind: "bad",
        text: `${model.id} is selected but ${model.status.replace("_", " ")}.`,
        href: "#/models",
        action: "Replace",
      });
    }
    const end = model.planned_deprecation_date;
    if (model.deprecated) {
      found.push({
        kind: "bad",
        text: `${model.id} is deprecated and no longer available.`,
        href: "#/models",
        action: "Replace",
      });
    } else if (end && Date.parse(end) < horizon) {
      found.push({
        kind: "warn",
        text: `${model.id} will be deprecated on ${date(end)}.`,
        href: "#/models",
        action: "Replace",
      });
    }
  }
  return found;
}

async function adapterAlerts({ signal }) {
  const page = await api("GET", "/v1/loras", { query: { limit: 100 }, signal });
  const failed = page.data
    .filter((lora) => lora.state === "failed")
    .map((lora) => ({
      kind: "bad",
      text: `Adapter ${lora.name} failed at step “${words(lora.error?.step ?? "start")}”.`,
      href: address(["adapters", lora.id]),
      action: "View",
    }));
  const drift = (page.drift ?? []).map(({ message }) => ({
    kind: "warn",
    text: message,
    href: "#/adapters",
    action: "View",
  }));
  return [...failed, ...drift];
}

async function challengerAlerts({ selection }) {
  const { challenger } = await selection;
  if (!challenger) return [];
  const text = `Challenger ${challenger.model_id}: ${plural(challenger.compared, "request")} compared, ${count(challenger.labelled)} labeled.`;
  return [{ kind: "accent", text, href: "#/models/challenger", action: "Compare" }];
}

async function learningAlerts({ learned }) {
  const { disabled, next_step: step } = await learned;
  const text = disabled
    ? `Classifier ${disabled.classifier} was disabled: ${disabled.reason}`
    : step.code === "agreement_fell"
      ? step.text
      : null;
  return text ? [{ kind: "bad", text, href: "#/models/classifier", action: "View" }] : [];
}

async function budgetAlerts({ signal }) {
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
    .filter(([, share]) => share >= BUDGET_ALERT_SHARE)
    .map(([key, share]) => ({
      kind: share >= 1 ? "bad" : "warn",
      text: `API key ${key.name} has used ${percent(share, 0)} of its monthly budget.`,
      href: "#/keys",
      action: "View",
    }));
}
