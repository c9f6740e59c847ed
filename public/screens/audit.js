// Audit: who changed what, and when.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { NOTHING, time, words } from "../format.js";
import { badge, pageHead } from "../parts/controls.js";
import { choices, filters } from "../parts/filters.js";
import { empty, load } from "../parts/loading.js";
import { pagedTable } from "../parts/table.js";

const RESOURCES = [
  "agent",
  "model",
  "classifier",
  "lora",
  "evaluation",
  "config",
  "cache",
  "provider",
  "user",
  "key",
  "label",
  "dataset",
  "analytics",
];

export async function open({ root, query, signal }) {
  const body = h("div", {});
  const show = (state) => {
    const asked = { ...state, limit: 50 };
    return load(
      body,
      () => api("GET", "/v1/audit", { query: asked, signal }),
      (page) =>
        page.data.length
          ? pagedTable({
              caption: "Changes",
              first: page,
              path: "/v1/audit",
              query: asked,
              signal,
              columns: COLUMNS,
            })
          : empty(
              "Nothing was changed",
              "Every change of the control plane is noted here, with what was before and after.",
            ),
      { signal, keep: true },
    );
  };
  const specs = [
    {
      name: "resource",
      label: "What",
      type: "select",
      options: choices(RESOURCES, words, [null, "Everything"]),
    },
    { name: "resource_id", label: "Its id" },
  ];
  replace(
    root,
    pageHead("Audit", "Every change, newest first. No secrets, no texts of queries."),
    filters({ parts: ["audit"], specs, query, show, signal }),
    body,
  );
}

const COLUMNS = [
  { head: "When", cell: (entry) => time(entry.created_at), heading: true },
  { head: "Who", cell: (entry) => entry.actor, kind: "wide" },
  {
    head: "Did",
    cell: (entry) =>
      badge(words(entry.action), { delete: "bad", revoke: "bad", create: "good" }[entry.action]),
  },
  {
    head: "To",
    cell: (entry) =>
      h("div", {}, words(entry.resource), h("div", { class: "help wrap" }, entry.resource_id)),
    kind: "wide",
  },
  { head: "What changed", cell: changes, kind: "wide" },
];

/** The fields that differ, before and after. */
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
