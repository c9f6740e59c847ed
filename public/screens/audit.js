// The audit log: who changed what, and when.

import { h, replace } from "../dom.js";
import { NOTHING, words } from "../format.js";
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
  "config",
  "router",
  "rule",
  "cache",
  "provider",
  "user",
  "key",
  "team",
  "session",
  "label",
  "dataset",
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
  { head: "Changes", cell: changes, kind: "wide" },
];

/** The changed fields with old and new values. */
function changes({ before, after, request_id: requestId }) {
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])];
  const differing = names.filter(
    (name) => JSON.stringify(before?.[name]) !== JSON.stringify(after?.[name]),
  );
  return h(
    "details",
    {},
    h("summary", { class: "small" }, differing.slice(0, 4).map(words).join(", ") || "details"),
    h(
      "dl",
      { class: "changes" },
      differing.map((name) =>
        h(
          "div",
          {},
          h("dt", {}, words(name)),
          h(
            "dd",
            {},
            before ? [h("del", {}, text(before[name])), " "] : null,
            after ? h("ins", {}, text(after[name])) : null,
          ),
        ),
      ),
    ),
    h("p", { class: "help" }, "Request ", h("code", {}, requestId)),
  );
}

const text = (value) =>
  value === undefined || value === null
    ? NOTHING
    : typeof value === "string"
      ? value
      : JSON.stringify(value);
