// The list of API keys: use, refusals and cost of a period.

import { h } from "../dom.js";
import { compact, count, localTime, NOTHING, percent, usd } from "../format.js";
import { allowedSummary } from "../parts/allowed.js";
import { badge, bars, link } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { refusalText } from "../parts/refusals.js";
import { table } from "../parts/table.js";
import { when } from "../parts/when.js";
import { address } from "../router.js";
import { teamName } from "./keys_teams.js";

const DAY_MS = 86_400_000;
const PERIOD = {
  name: "period",
  label: "Period",
  type: "select",
  value: "this_month",
  options: [
    ["this_month", "This month"],
    ["last_30_days", "Last 30 days"],
  ],
};

/** The table with its period, beside which `add` is; `actionsOf(key)` are the buttons of a key. */
export function keyList({ keys, users, teams }, add, actionsOf, { query, signal }) {
  const list = h("div", {});
  const show = ({ period }) =>
    list.replaceChildren(keyTable(keys, users, teams, period, actionsOf));
  return [
    h(
      "div",
      { class: "spread" },
      filters({ parts: ["keys"], specs: [PERIOD], query, show, signal }),
      add,
    ),
    list,
  ];
}

function keyTable(keys, users, teams, period, actionsOf) {
  const of = (key) => key[period] ?? key.this_month;
  const user = (id) => users.find((one) => one.id === id)?.email ?? id;
  const owner = (key) => (key.user_id ? user(key.user_id) : null);
  return table({
    caption: "API keys",
    hideCaption: true,
    rows: keys,
    columns: [
      { head: "Key", heading: true, cell: nameOf, sort: (key) => key.name },
      {
        head: "Scopes",
        cell: (key) =>
          h(
            "div",
            { class: "row" },
            key.scopes.map((scope) => badge(scope, scope === "admin" ? "warn" : undefined)),
            allowedSummary(key),
          ),
      },
      {
        head: "Owner",
        cell: (key) => [
          owner(key) ?? NOTHING,
          key.team_id ? h("div", { class: "help" }, `Team ${teamName(teams, key)}`) : null,
        ],
        sort: owner,
      },
      { head: "Limits and usage", kind: "wide", cell: limits },
      {
        head: "Requests",
        kind: "number",
        cell: (key) => requestsOf(key, of(key)),
        sort: (key) => of(key).requests,
      },
      {
        head: "Refused",
        cell: (key) => refusedOf(key, of(key)),
        sort: (key) => of(key).refused,
      },
      {
        head: "Cost",
        kind: "number",
        cell: (key) => usd(of(key).cost_usd),
        sort: (key) => of(key).cost_usd,
      },
      { head: "Last used", cell: (key) => when(key.last_used_at), sort: (key) => key.last_used_at },
      { head: "Actions", kind: "actions", cell: actionsOf },
    ],
  });
}

const nameOf = (key) =>
  h(
    "div",
    { class: "stack-small key-name" },
    h("span", { class: "row" }, key.name, stateOf(key)),
    h("span", { class: "help code" }, `${key.hint}…`),
    key.expires_at ? h("span", { class: "help" }, "expires ", when(key.expires_at)) : null,
  );

function stateOf(key) {
  if (key.revoked_at) return badge("revoked", "bad");
  if (key.expires_at && Date.parse(key.expires_at) <= Date.now()) return badge("expired", "bad");
  if (key.last_30_days.requests || key.last_used_at) return null;
  const isNew = Date.now() - Date.parse(key.created_at) < 30 * DAY_MS;
  return isNew ? badge("not used yet") : badge("unused for 30 days", "warn");
}

/** Refused requests are in no log. */
function requestsOf({ id }, { requests, refused, since }) {
  const logged = requests - refused;
  const at = address(["logs"], { key: id, from: localTime(since) });
  return [
    count(requests),
    logged ? h("div", { class: "small" }, link(`${count(logged)} logged`, at)) : null,
  ];
}

function refusedOf(key, { requests, refused, refusals }) {
  if (!refused) return count(0);
  return h(
    "div",
    { class: "stack-small" },
    h(
      "span",
      { class: "row" },
      badge(`${count(refused)} (${percent(refused / requests, 0)})`, "bad"),
    ),
    h("span", { class: "help" }, refusalText(refusals)),
    h("span", { class: "help" }, "last ", when(key.last_refused_at)),
  );
}

function limits({
  usage,
  requests_per_minute: requests,
  monthly_token_budget: tokens,
  monthly_budget_usd: money,
}) {
  if (!usage) return "none";
  const rows = [];
  const row = (name, used, limit, format) =>
    rows.push({
      name,
      value: Math.min(limit ? used / limit : 1, 1),
      text: `${format(used)} of ${format(limit)} (${percent(limit ? used / limit : 1, 0)})`,
      kind: used >= limit ? "bad" : undefined,
    });
  if (requests) row("this minute", usage.minute_requests, requests, count);
  if (tokens) row(`tokens ${usage.month}`, usage.tokens, tokens, compact);
  if (money !== null) row(`USD ${usage.month}`, usage.cost_usd, money, usd);
  return bars(rows, 1);
}
