// API keys and users: scopes, limits and use.

import { api, listAll } from "../api.js";
import { h, replace } from "../dom.js";
import { instant, localTime } from "../format.js";
import { allowedFields, teamField, withLists } from "../parts/allowed.js";
import { noteCallers } from "../parts/callers.js";
import { button, copyButton, pageHead, tabs } from "../parts/controls.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { changed, formDialog } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { readRouters } from "../parts/routers.js";
import { keyList } from "./keys_list.js";
import { teamsView } from "./keys_teams.js";
import { usersView } from "./keys_users.js";

const TABS = [
  ["API keys", "#/keys"],
  ["Users", "#/keys/users"],
  ["Teams", "#/keys/teams"],
];
const VIEWS = { users: usersView, teams: teamsView };

const SCOPES = [
  ["route", "route: route and chat"],
  ["read", "read: view logs, models, analytics"],
  ["label", "label: view and label"],
  ["admin", "admin: full access"],
];

export async function open(page) {
  const { root, signal } = page;
  const [tab] = page.path;
  const container = h("div", { class: "stack" });
  replace(
    root,
    pageHead(
      "API keys & users",
      "Services use API keys. People sign in with Cloudflare Access or with their own keys.",
    ),
    tabs("API keys & users", tab in VIEWS ? `#/keys/${tab}` : "#/keys", TABS),
    container,
  );
  const show = () =>
    load(
      container,
      async () => {
        const [keys, users, teams, routers] = await Promise.all([
          listAll("/v1/keys", { signal }),
          listAll("/v1/users", { signal }),
          listAll("/v1/teams", { signal }),
          readRouters(signal),
        ]);
        noteCallers([...keys, ...users]);
        return { keys, users, teams, routers };
      },
      (known) => (VIEWS[tab] ?? keysView)(known, show, page),
      { signal, keep: true },
    );
  await show();
}

function keysView(known, show, page) {
  const { keys } = known;
  const add = button("Create API key", () => createKey(known, show), { kind: "main" });
  if (!keys.length)
    return empty(
      "No API keys yet",
      "Until then ADMIN_TOKEN is the only key. Create one for each service, with only the scopes it needs.",
      add,
    );
  const actionsOf = (key) =>
    key.revoked_at
      ? null
      : [
          button("Edit", () => editKey(key, known, show), {
            size: "small",
            label: `Edit ${key.name}`,
          }),
          button("Revoke", () => revoke(key, show), {
            size: "small",
            kind: "plain",
            label: `Revoke ${key.name}`,
          }),
        ];
  return keyList(known, add, actionsOf, page);
}

const limitFields = (key, { teams, routers }) => [
  {
    name: "expires_at",
    label: "Expires",
    type: "datetime-local",
    value: key?.expires_at ? localTime(key.expires_at) : null,
  },
  {
    name: "requests_per_minute",
    label: "Rate limit (req/min)",
    type: "number",
    min: 1,
    value: key?.requests_per_minute,
  },
  {
    name: "monthly_token_budget",
    label: "Monthly token budget",
    type: "number",
    min: 1,
    value: key?.monthly_token_budget,
  },
  {
    name: "monthly_budget_usd",
    label: "Monthly budget (USD)",
    type: "number",
    min: 0,
    step: "any",
    value: key?.monthly_budget_usd,
    help: "With a USD budget, the key can only use models that have a price.",
  },
  teamField(key, teams),
  ...allowedFields(key, routers),
];

const withMoment = (values) =>
  "expires_at" in values ? { ...values, expires_at: instant(values.expires_at) } : values;

async function createKey(known, show) {
  const made = await formDialog({
    title: "Create API key",
    action: "Create",
    fields: [
      {
        name: "name",
        label: "Name",
        required: true,
        maxlength: 100,
        help: "What the key is used for.",
      },
      {
        name: "scopes",
        label: "Scopes",
        type: "checks",
        required: true,
        value: ["route"],
        options: SCOPES,
      },
      {
        name: "user_id",
        label: "Owner",
        type: "select",
        options: [[null, "Service (no user)"], ...known.users.map((user) => [user.id, user.email])],
      },
      ...limitFields(null, known),
    ],
    // The key is shown only once, so there is no Idempotency-Key.
    onSubmit: (values) => api("POST", "/v1/keys", { body: withMoment(withLists(values)) }),
  });
  if (!made) return;
  showOnce(made);
  await show();
}

function showOnce(made) {
  const dialog = openDialog({
    cancellable: false, // an accidental Escape would lose the key
    title: "Copy your API key",
    body: [
      h("p", {}, `This is the key “${made.name}”. It is shown only once.`),
      h("pre", { class: "secret", tabindex: "0" }, made.key),
      h(
        "div",
        { class: "form-actions" },
        copyButton(made.key, "Copy the key"),
        button("Done", () => dialog.close(), { kind: "main" }),
      ),
    ],
  });
}

async function editKey(key, known, show) {
  const saved = await formDialog({
    title: `Edit ${key.name}`,
    fields: [
      { name: "name", label: "Name", required: true, maxlength: 100, value: key.name },
      {
        name: "scopes",
        label: "Scopes",
        type: "checks",
        required: true,
        value: key.scopes,
        options: SCOPES,
      },
      ...limitFields(key, known),
    ],
    onSubmit(values) {
      const shown = { ...key, expires_at: key.expires_at && localTime(key.expires_at) };
      return api("PATCH", `/v1/keys/${key.id}`, {
        body: withMoment(changed(withLists(values), shown)),
      });
    },
  });
  if (!saved) return;
  notice(`${saved.name} saved.`);
  await show();
}

async function revoke(key, show) {
  const done = await confirm({
    title: `Revoke ${key.name}?`,
    body: h("p", {}, "Requests with this key are refused from now on. This cannot be undone."),
    action: "Revoke",
    danger: true,
    act: () => api("DELETE", `/v1/keys/${key.id}`),
  });
  if (!done) return;
  notice(`${key.name} revoked.`);
  await show();
}
