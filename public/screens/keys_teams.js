// Teams: what their API keys and users may use.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, NOTHING } from "../format.js";
import { allowedFields, allowedSummary, withLists } from "../parts/allowed.js";
import { button } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { changed, formDialog } from "../parts/form.js";
import { empty } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { when } from "../parts/when.js";

export function teamsView({ teams, users, keys, routers }, show) {
  const add = button("Add team", () => editTeam(null, routers, show), { kind: "main" });
  if (!teams.length)
    return empty(
      "No teams yet",
      "A team limits which agents, models and router its API keys and users may use.",
      add,
    );
  const members = (list, team) => list.filter((each) => each.team_id === team.id);
  return [
    h("div", { class: "row" }, add),
    table({
      caption: "Teams",
      hideCaption: true,
      rows: teams,
      columns: [
        { head: "Team", heading: true, kind: "wide", cell: (team) => team.name },
        {
          head: "May use",
          cell: (team) => h("div", { class: "row" }, allowedSummary(team) ?? "everything"),
        },
        {
          head: "API keys",
          cell: (team) => count(members(keys, team).filter((key) => !key.revoked_at).length),
          kind: "number",
        },
        { head: "Users", cell: (team) => count(members(users, team).length), kind: "number" },
        { head: "Created", cell: (team) => when(team.created_at) },
        {
          head: "Actions",
          kind: "actions",
          cell: (team) => [
            button("Edit", () => editTeam(team, routers, show), {
              size: "small",
              label: `Edit ${team.name}`,
            }),
            button("Delete", () => removeTeam(team, show), {
              size: "small",
              kind: "plain",
              label: `Delete ${team.name}`,
            }),
          ],
        },
      ],
    }),
  ];
}

/** The name of a key's or a user's team. */
export const teamName = (teams, { team_id: id }) =>
  id ? (teams.find((team) => team.id === id)?.name ?? id) : NOTHING;

async function editTeam(team, routers, show) {
  const saved = await formDialog({
    title: team ? `Edit ${team.name}` : "Add team",
    fields: [
      { name: "name", label: "Name", required: true, maxlength: 100, value: team?.name },
      ...allowedFields(team, routers),
    ],
    onSubmit(values, idempotencyKey) {
      const body = withLists(values);
      return team
        ? api("PATCH", `/v1/teams/${team.id}`, { body: changed(body, team) })
        : api("POST", "/v1/teams", { body, idempotencyKey });
    },
  });
  if (!saved) return;
  notice(`${saved.name} saved.`);
  await show();
}

async function removeTeam(team, show) {
  const done = await confirm({
    title: `Delete ${team.name}?`,
    body: h("p", {}, "A team with users or API keys cannot be deleted: give them another team."),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", `/v1/teams/${team.id}`),
  });
  if (!done) return;
  notice(`${team.name} deleted.`);
  await show();
}
