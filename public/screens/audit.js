// The audit log: who changed what, and when.

import { h, replace } from "../dom.js";
import { words } from "../format.js";
import { callerLabel, readCallers } from "../parts/callers.js";
import { changesOf } from "../parts/changes.js";
import { badge, pageHead } from "../parts/controls.js";
import { filters } from "../parts/filters.js";
import { empty } from "../parts/loading.js";
import { listTable } from "../parts/table.js";
import { when } from "../parts/when.js";

/** The resources of the API, as the pages name them. */
const RESOURCES = {
  agent: "Agent",
  model: "Model",
  classifier: "Classifier",
  lora: "Adapter",
  evaluation: "Evaluation",
  config: "Settings",
  router: "Router",
  rule: "Rule",
  cache: "Cache",
  provider: "Provider",
  user: "User",
  key: "API key",
  team: "Team",
  session: "Session",
  label: "Label",
  dataset: "Dataset",
  analytics: "Analytics",
  webhook: "Webhook",
  replay: "Replay",
  routing_tests: "Routing tests",
  routing_test_run: "Test run",
  clustering: "Clustering",
  unmatched: "Unmatched",
  log: "Request",
  dead_letters: "Requests not logged",
};
const nameOf = (resource) => RESOURCES[resource] ?? words(resource);

export async function open({ root, query, signal, may }) {
  const body = h("div", {});
  await readCallers({ may, signal });
  const show = (state) => {
    return listTable(body, {
      caption: "Changes",
      path: "/v1/audit",
      query: { ...state, limit: 50 },
      columns: COLUMNS,
      none: () =>
        empty(
          "No changes",
          "Every change in the control plane appears here, with old and new values.",
        ),
      signal,
    });
  };
  const specs = [
    {
      name: "resource",
      label: "Target",
      type: "select",
      options: [[null, "All"], ...Object.entries(RESOURCES)],
    },
    { name: "resource_id", label: "Target ID" },
  ];
  replace(
    root,
    pageHead("Audit log", "All changes, newest first, without secrets and query texts."),
    filters({ parts: ["audit"], specs, query, show, signal }),
    body,
  );
}

const COLUMNS = [
  { head: "Time", cell: (entry) => when(entry.created_at), heading: true },
  { head: "Actor", cell: (entry) => callerLabel(entry.actor), kind: "wide" },
  {
    head: "Action",
    cell: (entry) =>
      badge(words(entry.action), { delete: "bad", revoke: "bad", create: "good" }[entry.action]),
  },
  {
    head: "Target",
    cell: (entry) =>
      h("div", {}, nameOf(entry.resource), h("div", { class: "help wrap" }, entry.resource_id)),
    kind: "wide",
  },
  { head: "Changes", cell: changesOf, kind: "wide" },
];
