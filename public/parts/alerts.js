// The alerts of the Overview: what somebody should look at.

import { api, listAll } from "../api.js";
import { h } from "../dom.js";
import { clock, count, date, percent, plural, words } from "../format.js";
import { address } from "../router.js";
import { readModels } from "./models.js";
import { inPageWords } from "./page_words.js";
import { refusalText } from "./refusals.js";
import { suggestion } from "./targets.js";

const BUDGET_ALERT_SHARE = 0.8;
const DEPRECATION_ALERT_DAYS = 60;
// Shares of fewer requests say little.
const MIN_REQUESTS = 50;
const MIN_SAMPLED = 30;
const HIGH_FALLBACK = 0.2;
const LOW_ACCURACY = 0.8;
const MIN_REFUSED = 10;
const HIGH_REFUSED = 0.1;

/** The alerts of all checks; a check that fails is an alert itself. */
export async function readAlerts(context) {
  const { may, signal } = context;
  const checks = [
    ...(may("label") ? [["label queue", queueAlerts]] : []),
    ["analytics", errorAlerts],
    ["models", modelAlerts],
    ["adapters", adapterAlerts],
    ["challenger", challengerAlerts],
    ["classifier", targetAlerts],
    ["learning", learningAlerts],
    ...(may("admin") ? [["API keys", keyAlerts]] : []),
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

/** `requests` are those of the range: without any, nothing was checked that could be wrong. */
export function alertList(found, requests) {
  if (!found.length)
    return h("p", { class: "muted" }, requests ? "No alerts" : "No requests in this range yet");
  return h(
    "ul",
    { class: "alerts" },
    found.map(({ kind, text, href, action }) =>
      h("li", { "data-kind": kind }, h("span", {}, text), href ? h("a", { href }, action) : null),
    ),
  );
}

async function queueAlerts({ signal }) {
  const { questions } = await api("GET", "/v1/labels/queue/size", { signal });
  if (!questions) return [];
  const text = `${plural(questions, "question")} to review.`;
  return [{ kind: "accent", text, href: "#/labeling", action: "Label" }];
}

async function errorAlerts({ analytics }) {
  const { totals, classifier, refusals } = await analytics;
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
  if (totals.requests >= MIN_REQUESTS && totals.fallback_rate > HIGH_FALLBACK) {
    found.push({
      kind: "warn",
      text: `No agent was decided on in ${percent(totals.fallback_rate)} of the requests.`,
      href: "#/unmatched",
      action: "View",
    });
  }
  const { accuracy, labelled } = totals.accuracy;
  if (labelled >= MIN_SAMPLED && accuracy < LOW_ACCURACY) {
    found.push({
      kind: "warn",
      text: `${percent(accuracy)} of ${plural(labelled, "sampled request")} were routed right.`,
      href: "#/analytics?group_by=agent",
      action: "By agent",
    });
  }
  if (totals.errors) {
    const text = `${plural(totals.errors, "request")} failed.`;
    found.push({ kind: "bad", text, href: "#/analytics", action: "View" });
  }
  const unknown = refusals.keys.find(({ key }) => key === null);
  if (unknown?.requests >= MIN_REFUSED) {
    found.push({
      kind: "warn",
      text: `${plural(unknown.requests, "request")} refused without a known key: ${refusalText(unknown.reasons)}.`,
      href: "#/analytics",
      action: "View",
    });
  }
  if (classifier.alert)
    found.push({
      kind: "warn",
      text: inPageWords(classifier.alert),
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
        text: inPageWords(model.suspended),
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
    text: inPageWords(message),
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

async function targetAlerts({ signal, selection }) {
  const { classifier } = await selection;
  if (!classifier) return [];
  const path = `/v1/classifiers/${encodeURIComponent(classifier)}/curve`;
  const hint = suggestion(await api("GET", path, { signal }));
  return hint ? [{ kind: "accent", ...hint, action: "Compare targets" }] : [];
}

async function learningAlerts({ learned }) {
  const { disabled, next_step: step } = await learned;
  const text = disabled
    ? `Classifier ${disabled.classifier} was disabled: ${inPageWords(disabled.reason)}`
    : step.code === "agreement_fell"
      ? inPageWords(step.text)
      : null;
  return text ? [{ kind: "bad", text, href: "#/models/classifier", action: "View" }] : [];
}

async function keyAlerts({ signal }) {
  const keys = await listAll("/v1/keys", { signal });
  return [...keys.flatMap(refusalAlerts), ...keys.flatMap(budgetAlerts)];
}

function refusalAlerts({ name, recent }) {
  const { requests, refused, refusals, since } = recent;
  if (refused < MIN_REFUSED || refused < HIGH_REFUSED * requests) return [];
  return [
    {
      kind: "bad",
      text: `API key ${name}: ${count(refused)} of ${plural(requests, "request")} refused since ${clock(since)}: ${refusalText(refusals)}.`,
      href: "#/keys",
      action: "View",
    },
  ];
}

function budgetAlerts(key) {
  if (!key.usage || key.revoked_at) return [];
  const share = Math.max(
    key.monthly_token_budget ? key.usage.tokens / key.monthly_token_budget : 0,
    key.monthly_budget_usd ? key.usage.cost_usd / key.monthly_budget_usd : 0,
  );
  if (share < BUDGET_ALERT_SHARE) return [];
  return [
    {
      kind: share >= 1 ? "bad" : "warn",
      text: `API key ${key.name} has used ${percent(share, 0)} of its monthly budget.`,
      href: "#/keys",
      action: "View",
    },
  ];
}
