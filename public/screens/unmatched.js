// Queries that no agent fits, in clusters: each may be a missing agent.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count, plural, time } from "../format.js";
import { labelField, labelOf, readAgents } from "../parts/agents.js";
import { actionButton, button, link, pageHead } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { formDialog } from "../parts/form.js";
import { followJobs, isActive } from "../parts/job.js";
import { empty } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { ID } from "../parts/patterns.js";
import { address } from "../router.js";

const PATH = "/v1/unmatched";
const SHOWN = 3; // of the typical queries; the others unfold

export async function open({ root, signal, may }) {
  const body = h("div", {});
  replace(
    root,
    pageHead(
      "Unmatched",
      "Queries of the last 30 days that no agent fits, or that nothing was sure of, in clusters. A cluster may be a missing agent.",
    ),
    body,
  );
  await followJobs(
    body,
    async () => {
      const [unmatched, agents] = await Promise.all([
        api("GET", PATH, { signal }),
        readAgents(signal),
      ]);
      return { unmatched, agents };
    },
    ({ unmatched, agents }, follow) => view(unmatched, { agents, may, follow }),
    { signal, active: ({ unmatched }) => isUnderWay(unmatched) },
  );
}

const isUnderWay = ({ clustering }) => clustering !== null && isActive(clustering.state);

function view(unmatched, context) {
  const { clusters } = unmatched;
  return h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "spread" },
      h("p", { role: "status", class: "soft" }, statusOf(unmatched)),
      context.may("label") && clusters.length ? start(unmatched, context) : null,
    ),
    clusters.length
      ? h(
          "div",
          { class: "columns" },
          clusters.map((cluster) => clusterCard(cluster, context)),
        )
      : none(unmatched, context),
  );
}

function statusOf({ clustering, new_queries }) {
  const fresh = `${plural(new_queries, "new query", "new queries")} since.`;
  if (clustering === null) return null;
  if (isActive(clustering.state)) return "A clustering is under way; it starts within a minute …";
  if (clustering.state !== "succeeded")
    return `The last clustering ${clustering.state}${clustering.error ? `: ${clustering.error}` : ""}.`;
  return `Clustered ${time(clustering.finished_at)}: ${count(clustering.clustered)} of ${plural(clustering.queries, "different query", "different queries")}. ${fresh}`;
}

function none(unmatched, { may, follow }) {
  if (isUnderWay(unmatched)) return null;
  const { clustering, new_queries } = unmatched;
  const waiting = new_queries > 0 && may("label") ? start(unmatched, { follow }) : null;
  if (clustering === null && new_queries > 0)
    return empty(
      "Not clustered yet",
      `${plural(new_queries, "query", "queries")} without an agent wait. They are clustered once a day, or now.`,
      waiting,
    );
  const later = new_queries > 0 ? "New ones are clustered once a day, or now." : "";
  return empty(
    "No unmatched queries",
    `${whyNone(clustering)} ${later}`,
    waiting ?? link("Open Labeling", address(["labeling"])),
  );
}

function whyNone(clustering) {
  if (!clustering?.queries) return "Queries that no agent fits appear here.";
  return clustering.clustered > 0
    ? "All clusters were handled, or their queries were labeled or erased."
    : "No three queries are alike enough for a cluster. Label single ones under Labeling.";
}

const start = (unmatched, { follow }) =>
  actionButton(
    unmatched.clustering === null ? "Cluster now" : "Cluster again",
    async () => {
      await api("POST", PATH);
      await follow();
    },
    { disabled: isUnderWay(unmatched) },
  );

function clusterCard(cluster, context) {
  const { may } = context;
  const title = titleOf(cluster);
  const [first, others] = [cluster.queries.slice(0, SHOWN), cluster.queries.slice(SHOWN)];
  const list = (queries, from) =>
    h(
      "ul",
      { class: "examples" },
      queries.map((query, at) =>
        h(
          "li",
          { class: "wrap" },
          h("a", { href: address(["logs", cluster.log_ids[from + at]]) }, query),
        ),
      ),
    );
  return h(
    "article",
    { class: "card stack-small", "aria-label": title },
    h("h2", { class: "wrap" }, title),
    h(
      "p",
      { class: "help" },
      `${plural(cluster.size, "query", "queries")}, asked ${plural(cluster.asked, "time")}`,
    ),
    list(first, 0),
    others.length
      ? h(
          "details",
          {},
          h("summary", { class: "small" }, `${others.length} more typical`),
          list(others, SHOWN),
        )
      : null,
    h(
      "div",
      { class: "row" },
      may("admin")
        ? button("Make agent", () => makeAgent(cluster, context), {
            size: "small",
            label: `Make agent of ${title}`,
          })
        : null,
      may("label")
        ? [
            button("Label all", () => labelAll(cluster, context), {
              size: "small",
              label: `Label all of ${title}`,
            }),
            button("Dismiss", () => dismiss(cluster, context), {
              size: "small",
              kind: "plain",
              label: `Dismiss ${title}`,
            }),
          ]
        : null,
    ),
  );
}

const titleOf = ({ suggested_name, queries }) => suggested_name ?? `“${queries[0].slice(0, 60)}”`;

async function makeAgent(cluster, { follow }) {
  const name = cluster.suggested_name;
  const made = await formDialog({
    title: "Make an agent",
    before: h(
      "p",
      { class: "help" },
      `All ${plural(cluster.size, "query", "queries")} are labeled with it. Remove personal data from the texts: erasing a query does not change an agent.`,
    ),
    fields: [
      { name: "name", label: "Name", required: true, maxlength: 100, value: name },
      {
        name: "id",
        label: "ID",
        maxlength: 64,
        ...ID,
        help: "Empty: made of the name. It cannot be changed later.",
      },
      {
        name: "description",
        label: "Description",
        type: "textarea",
        rows: 3,
        maxlength: 1000,
        help: "The routing model reads this. Empty: the most typical queries.",
      },
      {
        name: "examples",
        label: "Examples, one per line",
        type: "lines",
        rows: 5,
        value: cluster.queries.map((query) => query.replace(/\s+/g, " ").slice(0, 500)),
      },
    ],
    action: "Make agent",
    onSubmit: ({ id, description, ...values }, idempotencyKey) =>
      api("POST", `${PATH}/${cluster.id}/agent`, {
        body: { ...values, ...(id ? { id } : {}), ...(description ? { description } : {}) },
        idempotencyKey,
      }),
  });
  if (!made) return;
  notice(`Agent ${made.agent.name} made, ${plural(made.labels, "query", "queries")} labeled.`);
  await follow();
}

async function labelAll(cluster, { agents, follow }) {
  const choice = labelField(agents, null);
  const done = await confirm({
    title: `Label ${plural(cluster.size, "query", "queries")}`,
    body: h("div", { class: "stack" }, h("p", {}, titleOf(cluster)), choice.element),
    action: "Label all",
    act: () => api("POST", `${PATH}/${cluster.id}/labels`, { body: { agent_id: labelOf(choice) } }),
  });
  if (!done) return;
  notice(`${plural(done.labels, "query", "queries")} labeled.`);
  await follow();
}

async function dismiss(cluster, { follow }) {
  const done = await confirm({
    title: `Dismiss ${titleOf(cluster)}?`,
    body: h("p", {}, "Its queries get no label and are not clustered again."),
    action: "Dismiss",
    act: () => api("POST", `${PATH}/${cluster.id}/dismiss`),
  });
  if (!done) return;
  notice("Cluster dismissed.");
  await follow();
}
