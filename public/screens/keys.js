// Keys and users: who may call, what they may do, and how much.

import { api, everything } from "../api.js";
import { h, replace } from "../dom.js";
import { compact, count, instant, NOTHING, percent, time, usd } from "../format.js";
import { badge, bars, button, copyButton, pageHead, tabs } from "../parts/controls.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { changed, formDialog } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { usersView } from "./keys_users.js";

const TABS = [
  ["Keys", "#/keys"],
  ["Users", "#/keys/users"],
];

const SCOPES = [
  ["route", "route: ask"],
  ["read", "read: see logs, models, analytics"],
  ["label", "label: read and label"],
  ["admin", "admin: everything"],
];

export async function open({ root, path: [tab], signal }) {
  const room = h("div", { class: "stack" });
  replace(
    root,
    pageHead(
      "Keys and users",
      "Programs call with keys. People come in by Cloudflare Access, or with keys of their own.",
    ),
    tabs("Keys and users", tab === "users" ? "#/keys/users" : "#/keys", TABS),
    room,
  );
  const show = () =>
    load(
      room,
      () => Promise.all([everything("/v1/keys", { signal }), everything("/v1/users", { signal })]),
      ([keys, users]) =>
        tab === "users" ? usersView(users, keys, show) : keysView(keys, users, show),
      { signal, keep: true },
    );
  await show();
}

function keysView(keys, users, show) {
  const add = button("Make a key", () => makeKey(users, show), { kind: "main" });
  if (!keys.length)
    return empty(
      "There is no key yet",
      "Until there are keys, the secret ADMIN_TOKEN is the only one. Make one for each program, with no more than it needs.",
      add,
    );
  const user = (id) => users.find((one) => one.id === id)?.email ?? id;
  return [
    h("div", { class: "row" }, add),
    table({
      caption: "Keys",
      hideCaption: true,
      rows: keys,
      columns: [
        {
          head: "Key",
          heading: true,
          kind: "wide",
          cell: (key) =>
            h(
              "div",
              { class: "stack-small" },
              h("span", { class: "row" }, key.name, stateOf(key)),
              h("span", { class: "help code" }, `${key.hint}…`),
            ),
        },
        {
          head: "May",
          cell: (key) =>
            h(
              "div",
              { class: "row" },
              key.scopes.map((scope) => badge(scope, scope === "admin" ? "warn" : undefined)),
              only("agents", key.agents),
              only("models", key.models),
            ),
        },
        { head: "Of", cell: (key) => (key.user_id ? user(key.user_id) : NOTHING) },
        { head: "Limits and use", kind: "wide", cell: limits },
        { head: "Expires", cell: (key) => time(key.expires_at) },
        {
          head: "Actions",
          kind: "actions",
          cell: (key) =>
            key.revoked_at
              ? null
              : [
                  button("Edit", () => editKey(key, show), {
                    size: "small",
                    label: `Edit ${key.name}`,
                  }),
                  button("Revoke", () => revoke(key, show), {
                    size: "small",
                    kind: "plain",
                    label: `Revoke ${key.name}`,
                  }),
                ],
        },
      ],
    }),
  ];
}

function stateOf(key) {
  if (key.revoked_at) return badge("revoked", "bad");
  if (key.expires_at && Date.parse(key.expires_at) <= Date.now()) return badge("expired", "bad");
  return null;
}

const only = (what, ids) =>
  ids && h("span", { class: "help", title: ids.join(", ") }, `${count(ids.length)} ${what} only`);

function limits({
  usage,
  requests_per_minute: requests,
  monthly_token_budget: tokens,
  monthly_budget_usd: money,
}) {
  if (!usage) return "none";
  const rows = [];
  const row = (name, used, most, write) =>
    rows.push({
      name,
      value: Math.min(most ? used / most : 1, 1),
      text: `${write(used)} of ${write(most)} (${percent(most ? used / most : 1, 0)})`,
      kind: used >= most ? "bad" : undefined,
    });
  if (requests) row("this minute", usage.minute_requests, requests, count);
  if (tokens) row(`tokens ${usage.month}`, usage.tokens, tokens, compact);
  if (money !== null) row(`USD ${usage.month}`, usage.cost_usd, money, usd);
  return bars(rows, 1);
}

const limitFields = (key) => [
  {
    name: "expires_at",
    label: "Expires",
    type: "datetime-local",
    value: localTime(key?.expires_at),
  },
  {
    name: "requests_per_minute",
    label: "Requests a minute, at most",
    type: "number",
    min: 1,
    value: key?.requests_per_minute,
  },
  {
    name: "monthly_token_budget",
    label: "Tokens a month, at most",
    type: "number",
    min: 1,
    value: key?.monthly_token_budget,
  },
  {
    name: "monthly_budget_usd",
    label: "USD a month, at most",
    type: "number",
    min: 0,
    step: "any",
    value: key?.monthly_budget_usd,
    help: "With it only models that have a price can be used.",
  },
  {
    name: "agents",
    label: "Only these agents, one id a line",
    type: "lines",
    rows: 3,
    value: key?.agents,
    help: "Empty allows all agents.",
  },
  {
    name: "models",
    label: "Only these models, one id a line",
    type: "lines",
    rows: 3,
    value: key?.models,
    help: "Models that may be called for it, to route and to answer. Empty allows all models.",
  },
];

/** As a datetime-local field has it. */
function localTime(text) {
  if (!text) return null;
  const moment = new Date(text);
  return new Date(moment - moment.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

const withMoment = (values) =>
  "expires_at" in values ? { ...values, expires_at: instant(values.expires_at) } : values;

/** An empty list allows everything, which the API calls null. */
const withLists = (values) => ({
  ...values,
  agents: values.agents.length ? values.agents : null,
  models: values.models.length ? values.models : null,
});

async function makeKey(users, show) {
  const made = await formDialog({
    title: "Make a key",
    action: "Make the key",
    fields: [
      { name: "name", label: "Name", required: true, maxlength: 100, help: "What it is for." },
      {
        name: "scopes",
        label: "It may",
        type: "checks",
        required: true,
        value: ["route"],
        options: SCOPES,
      },
      {
        name: "user_id",
        label: "Of the user",
        type: "select",
        options: [[null, "nobody: a program's"], ...users.map((user) => [user.id, user.email])],
      },
      ...limitFields(null),
    ],
    // Shown once, so it is made once: no Idempotency-Key.
    onSubmit: (values) => api("POST", "/v1/keys", { body: withMoment(withLists(values)) }),
  });
  if (!made) return;
  showOnce(made);
  await show();
}

function showOnce(made) {
  const dialog = openDialog({
    cancellable: false, // one slip would lose the key for good
    title: "Keep this key",
    body: [
      h("p", {}, `This is the key ${made.name}. It is shown now and never again.`),
      h("pre", { class: "secret", tabindex: "0" }, made.key),
      h(
        "div",
        { class: "form-actions" },
        copyButton(made.key, "Copy the key"),
        button("I have it", () => dialog.close(), { kind: "main" }),
      ),
    ],
  });
}

async function editKey(key, show) {
  const saved = await formDialog({
    title: `Edit ${key.name}`,
    fields: [
      { name: "name", label: "Name", required: true, maxlength: 100, value: key.name },
      {
        name: "scopes",
        label: "It may",
        type: "checks",
        required: true,
        value: key.scopes,
        options: SCOPES,
      },
      ...limitFields(key),
    ],
    onSubmit(values) {
      const shown = { ...key, expires_at: localTime(key.expires_at) };
      return api("PATCH", `/v1/keys/${key.id}`, {
        body: withMoment(changed(withLists(values), shown)),
      });
    },
  });
  if (!saved) return;
  notice(`${saved.name} is saved.`);
  await show();
}

async function revoke(key, show) {
  const done = await confirm({
    title: `Revoke ${key.name}?`,
    body: h("p", {}, "Who calls with it is refused from now on. It cannot be taken back."),
    action: "Revoke",
    danger: true,
    act: () => api("DELETE", `/v1/keys/${key.id}`),
  });
  if (!done) return;
  notice(`${key.name} is revoked.`);
  await show();
}
