// Webhooks: addresses that receive events, and their deliveries.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, NOTHING } from "../format.js";
import { actionButton, badge, button, copyButton, pageHead } from "../parts/controls.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { changed, formDialog } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { WEBHOOK_ADDRESS } from "../parts/patterns.js";
import { listTable, table } from "../parts/table.js";
import { when } from "../parts/when.js";

const EVENTS = [
  ["decision.low_confidence", "Decisions of low confidence, counted every 15 minutes"],
  ["classifier.drift", "Drift of the classifier, once a day"],
  ["job.ended", "The end of a job"],
  ["budget.exhausted", "A used-up budget of a key, once a month"],
];
const STATES = { delivered: "good", waiting: "warn", failed: "bad" };

export async function open(page) {
  const [id] = page.path;
  await (id ? deliveries(page, id) : list(page));
}

async function list({ root, signal }) {
  const body = h("div", {});
  const show = () =>
    load(
      body,
      () => api("GET", "/v1/webhooks", { signal }),
      ({ data }) => view(data, show),
      { signal, keep: true },
    );
  replace(
    root,
    pageHead(
      "Webhooks",
      "Addresses that receive events. They get ids and figures, never texts of queries.",
      button("Add webhook", () => add(show), { kind: "main" }),
    ),
    body,
  );
  await show();
}

function view(webhooks, show) {
  if (!webhooks.length)
    return empty(
      "No webhooks yet",
      "Add one to receive an event when a job ends, a budget is used up, or the classifier drifts.",
      button("Add webhook", () => add(show), { kind: "main" }),
    );
  return table({
    caption: "Webhooks",
    hideCaption: true,
    rows: webhooks,
    columns: [
      {
        head: "URL",
        heading: true,
        kind: "wide",
        cell: (one) =>
          h(
            "div",
            { class: "row" },
            h("a", { href: `#/webhooks/${one.id}` }, one.url),
            one.enabled ? null : badge("disabled", "warn"),
          ),
      },
      { head: "Events", cell: (one) => one.events.join(", "), kind: "wide" },
      { head: "Last delivery", cell: (one) => when(one.last_delivered_at) },
      { head: "Waiting", cell: (one) => count(one.waiting), kind: "number" },
      {
        head: "Failed",
        cell: (one) => (one.failed ? badge(count(one.failed), "bad") : count(0)),
        kind: "number",
      },
      {
        head: "Actions",
        kind: "actions",
        cell: (one) => [
          actionButton("Test", () => test(one, show), {
            size: "small",
            label: `Test ${one.url}`,
          }),
          button("Edit", () => edit(one, show), { size: "small", label: `Edit ${one.url}` }),
          button("Delete", () => remove(one, show), {
            size: "small",
            kind: "plain",
            label: `Delete ${one.url}`,
          }),
        ],
      },
    ],
  });
}

const fields = (webhook) => [
  {
    name: "url",
    ...WEBHOOK_ADDRESS,
    label: "URL",
    required: true,
    value: webhook?.url,
    placeholder: "https://…",
  },
  {
    name: "events",
    label: "Events",
    type: "checks",
    required: true,
    value: webhook?.events ?? [],
    options: EVENTS,
  },
  { name: "enabled", label: "Enabled", type: "checkbox", value: webhook?.enabled ?? true },
];

async function add(show) {
  const made = await formDialog({
    title: "Add webhook",
    fields: fields(null),
    // The secret is shown only once, so there is no Idempotency-Key.
    onSubmit: (body) => api("POST", "/v1/webhooks", { body }),
  });
  if (!made) return;
  showOnce(made);
  await show();
}

function showOnce({ secret }) {
  const dialog = openDialog({
    cancellable: false, // an accidental Escape would lose the secret
    title: "Copy the signing secret",
    body: [
      h("p", {}, "The receiver verifies signatures with this secret. It is shown only once."),
      h("pre", { class: "secret", tabindex: "0" }, secret),
      h(
        "div",
        { class: "form-actions" },
        copyButton(secret, "Copy the secret"),
        button("Done", () => dialog.close(), { kind: "main" }),
      ),
    ],
  });
}

async function edit(webhook, show) {
  const saved = await formDialog({
    title: "Edit webhook",
    fields: fields(webhook),
    onSubmit: (values) =>
      api("PATCH", `/v1/webhooks/${webhook.id}`, { body: changed(values, webhook) }),
  });
  if (!saved) return;
  notice("Webhook saved.");
  await show();
}

async function test(webhook, show) {
  const { state, last_error: error } = await api("POST", `/v1/webhooks/${webhook.id}/test`);
  notice(state === "delivered" ? "The test event was delivered." : `Not delivered: ${error}`);
  await show();
}

async function remove(webhook, show) {
  const done = await confirm({
    title: "Delete the webhook?",
    body: h("p", {}, `${webhook.url} receives no more events.`),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", `/v1/webhooks/${webhook.id}`),
  });
  if (!done) return;
  notice("Webhook deleted.");
  await show();
}

async function deliveries({ root, signal }, id) {
  const head = h("div", {});
  const body = h("div", {});
  replace(root, head, body);
  const path = `/v1/webhooks/${id}`;
  const show = () =>
    listTable(body, {
      caption: "Deliveries",
      path: `${path}/deliveries`,
      query: { limit: 50 },
      columns: columns(path, show),
      none: () => empty("No deliveries yet", "Deliveries appear here for 35 days."),
      signal,
    });
  await load(
    head,
    () => api("GET", path, { signal }),
    (webhook) =>
      pageHead(
        "Deliveries",
        webhook.url,
        button("Rotate secret", () => rotate(path)),
      ),
    { signal },
  );
  await show();
}

const columns = (path, show) => [
  { head: "Event", heading: true, cell: (one) => one.event },
  { head: "State", cell: (one) => badge(one.state, STATES[one.state]) },
  { head: "Attempts", cell: (one) => count(one.attempts), kind: "number" },
  { head: "Last error", cell: (one) => one.last_error ?? NOTHING, kind: "wide" },
  { head: "Next attempt", cell: (one) => when(one.next_attempt_at) },
  { head: "Created", cell: (one) => when(one.created_at) },
  {
    head: "Actions",
    kind: "actions",
    cell: (one) =>
      one.state === "failed"
        ? actionButton(
            "Retry",
            async () => {
              await api("POST", `${path}/deliveries/${one.id}/retry`);
              notice("It is tried again within a minute.");
              await show();
            },
            { size: "small" },
          )
        : null,
  },
];

async function rotate(path) {
  const made = await confirm({
    title: "Rotate the secret?",
    body: h("p", {}, "For 24 hours deliveries are signed with the present secret, too."),
    action: "Rotate",
    act: () => api("POST", `${path}/rotate`),
  });
  if (made) showOnce(made);
}
