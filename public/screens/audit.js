// The audit log: who changed what, and when.

import { h, replace } from "../dom.js";
import { words } from "../format.js";
import { changesOf } from "../parts/changes.js";
import { badge, pageHead } from "../parts/controls.js";
import { choices, filters } from "../parts/filters.js";
import { empty } from "../parts/loading.js";
import { listTable } from "../parts/table.js";
import { when } from "../parts/when.js";

const RESOURCES = [
  "agent",
  "model",
  "classifier",
  "lora",
  "evaluation",
  "routing_tests",
  "routing_test_run",
  "replay",
  "config",
  "router",
  "rule",
  "cache",
  "provider",
  "webhook",
  "user",
  "key",
  "team",
  "session",
  "label",
  "dataset",
  "clustering",
  "unmatched",
  "log",
  "dead_letters",
  "analytics",
];

export async function open({ root, query, signal }) {
  const body = h("div", {});
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
      options: choices(RESOURCES, words, [null, "All"]),
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
  { head: "Actor", cell: (entry) => entry.actor, kind: "wide" },
  {
    head: "Action",
    cell: (entry) =>
      badge(words(entry.action), { delete: "bad", revoke: "bad", create: "good" }[entry.action]),
  },
  {
    head: "Target",
    cell: (entry) =>
      h("div", {}, words(entry.resource), h("div", { class: "help wrap" }, entry.resource_id)),
    kind: "wide",
  },
  { head: "Changes", cell: changesOf, kind: "wide" },
];
