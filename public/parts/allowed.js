// What keys, users and teams may use: form fields, and how it is shown.

import { h } from "../dom.js";
import { plural } from "../format.js";
import { routerOptions } from "./routers.js";

/** The fields for a key, a user or a team; null for a new one. */
export const allowedFields = (holder, routers) => [
  {
    name: "agents",
    label: "Allowed agents, one ID per line",
    type: "lines",
    rows: 3,
    value: holder?.agents,
    help: "Empty: all agents.",
  },
  {
    name: "models",
    label: "Allowed models, one ID per line",
    type: "lines",
    rows: 3,
    value: holder?.models,
    help: "For routing and for chats. Empty: all models.",
  },
  {
    name: "router",
    label: "Router",
    type: "select",
    value: holder?.router,
    options: routerOptions(routers, holder?.router, [null, "Any router"]),
    help: "The only router that may be used; it is then the model “auto”.",
  },
];

/** The field for the team of a key or a user. */
export const teamField = (holder, teams) => ({
  name: "team_id",
  label: "Team",
  type: "select",
  value: holder?.team_id,
  options: [[null, "None"], ...teams.map((team) => [team.id, team.name])],
  help: "What the team may not use, its members may not use either.",
});

/** An empty list means no restriction, which is null in the API. */
export const withLists = (values) => ({
  ...values,
  agents: values.agents.length ? values.agents : null,
  models: values.models.length ? values.models : null,
});

/** The restrictions in short; null if there are none. */
export function allowedSummary({ agents, models, router }) {
  const parts = [
    only("agent", agents),
    only("model", models),
    router ? h("span", { class: "help" }, `router ${router}`) : null,
  ].filter(Boolean);
  return parts.length ? parts : null;
}

const only = (what, ids) =>
  ids && h("span", { class: "help", title: ids.join(", ") }, `only ${plural(ids.length, what)}`);
