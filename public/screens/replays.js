// What if: logged queries through a changed configuration, and the changes applied by one click.

import { h, replace } from "../dom.js";
import { count, NOTHING, percent, time } from "../format.js";
import { callerLabel } from "../parts/callers.js";
import { badge, link, pageHead } from "../parts/controls.js";
import { stateBadge } from "../parts/job.js";
import { empty } from "../parts/loading.js";
import { readCallerNames } from "../parts/names.js";
import { listTable } from "../parts/table.js";
import { address } from "../router.js";
import { summaryOf } from "./replays_changes.js";
import { newReplay } from "./replays_new.js";
import { showReplay } from "./replays_one.js";
import { showThresholds } from "./replays_thresholds.js";

const NEW = "new";
const THRESHOLDS = "thresholds";

export async function open(page) {
  const [id] = page.path;
  if (id === NEW && page.may("admin")) await newReplay(page);
  else if (id === THRESHOLDS) await showThresholds(page);
  else await (id && id !== NEW ? showReplay(page, id) : list(page));
}

async function list({ root, signal, may }) {
  const body = h("div", {});
  const start = () => link("New replay", address(["replays", NEW]), { kind: "main" });
  replace(
    root,
    pageHead(
      "What if",
      "Replay logged queries with other agents, rules, settings or models, before you change them.",
      link("Thresholds", address(["replays", THRESHOLDS])),
      may("admin") ? start() : null,
    ),
    body,
  );
  await readCallerNames({ may, signal });
  await listTable(body, {
    caption: "Replays",
    path: "/v1/replays",
    query: { limit: 20 },
    columns: COLUMNS,
    none: () =>
      empty(
        "No replays yet",
        "A replay shows which logged queries would be routed to another agent. Nothing is changed.",
        may("admin") ? start() : null,
      ),
    signal,
  });
}

const COLUMNS = [
  {
    head: "Replay",
    heading: true,
    kind: "wide",
    cell: (one) =>
      h(
        "div",
        { class: "stack-small" },
        h("a", { href: address(["replays", one.id]) }, time(one.created_at)),
        h("span", { class: "help wrap" }, summaryOf(one.changes)),
      ),
  },
  {
    head: "State",
    cell: (one) => (one.applied_at ? badge("applied", "accent") : stateBadge(one.state)),
  },
  { head: "Queries", cell: (one) => count(one.n ?? one.drawn), kind: "number" },
  {
    head: "Changed",
    cell: (one) =>
      one.changed === null
        ? NOTHING
        : `${count(one.changed)} (${percent(one.changed_share.share)})`,
    kind: "number",
  },
  {
    head: "Accuracy",
    cell: ({ labelled }) =>
      labelled?.n
        ? `${percent(labelled.before.accuracy)} → ${percent(labelled.after.accuracy)}`
        : NOTHING,
    kind: "number",
  },
  { head: "Started by", cell: (one) => callerLabel(one.created_by) },
];
