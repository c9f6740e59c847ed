// Users and their roles.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count } from "../format.js";
import { allowedFields, allowedSummary, teamField, withLists } from "../parts/allowed.js";
import { badge, button } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { changed, formDialog } from "../parts/form.js";
import { empty } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { when } from "../parts/when.js";
import { teamName } from "./keys_teams.js";

const ROLES = [
  ["viewer", "viewer: view"],
  ["labeler", "labeler: route, view and label"],
  ["admin", "admin: full access"],
];

export function usersView(known, show) {
  const { users, keys, teams } = known;
  const add = button("Add user", () => editUser(null, known, show), { kind: "main" });
  if (!users.length)
    return empty(
      "No users yet",
      "Users sign in through Cloudflare Access with their email address and get the role set here.",
      add,
    );
  return [
    h("div", { class: "row" }, add),
    table({
      caption: "Users",
      hideCaption: true,
      rows: users,
      columns: [
        {
          head: "User",
          heading: true,
          kind: "wide",
          cell: (user) =>
            h(
              "div",
              { class: "stack-small" },
              h(
                "span",
                { class: "row" },
                user.name,
                user.enabled ? null : badge("disabled", "warn"),
              ),
              h("span", { class: "help" }, user.email),
            ),
        },
        {
          head: "Role",
          cell: (user) => badge(user.role, user.role === "admin" ? "warn" : undefined),
        },
        { head: "Team", cell: (user) => teamName(teams, user) },
        {
          head: "May use",
          cell: (user) => h("div", { class: "row" }, allowedSummary(user) ?? "everything"),
        },
        {
          head: "API keys",
          cell: (user) =>
            count(keys.filter((key) => key.user_id === user.id && !key.revoked_at).length),
          kind: "number",
        },
        { head: "Created", cell: (user) => when(user.created_at) },
        {
          head: "Actions",
          kind: "actions",
          cell: (user) => [
            button("Edit", () => editUser(user, known, show), {
              size: "small",
              label: `Edit ${user.name}`,
            }),
            button("Delete", () => removeUser(user, show), {
              size: "small",
              kind: "plain",
              label: `Delete ${user.name}`,
            }),
          ],
        },
      ],
    }),
  ];
}

async function editUser(user, { teams, routers }, show) {
  const saved = await formDialog({
    title: user ? `Edit ${user.name}` : "Add user",
    fields: [
      { name: "email", label: "Email", type: "email", required: true, value: user?.email },
      { name: "name", label: "Name", required: true, maxlength: 100, value: user?.name },
      {
        name: "role",
        label: "Role",
        type: "select",
        value: user?.role ?? "viewer",
        options: ROLES,
      },
      { name: "enabled", label: "Enabled", type: "checkbox", value: user?.enabled ?? true },
      teamField(user, teams),
      ...allowedFields(user, routers),
    ],
    onSubmit(values, idempotencyKey) {
      const body = withLists(values);
      return user
        ? api("PATCH", `/v1/users/${user.id}`, { body: changed(body, user) })
        : api("POST", "/v1/users", { body, idempotencyKey });
    },
  });
  if (!saved) return;
  notice(`${saved.name} saved.`);
  await show();
}

async function removeUser(user, show) {
  const done = await confirm({
    title: `Delete ${user.name}?`,
    body: h("p", {}, "The user's API keys are revoked too."),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", `/v1/users/${user.id}`),
  });
  if (!done) return;
  notice(`${user.name} deleted.`);
  await show();
}
