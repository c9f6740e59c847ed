// The list of imports that wrote labels, and their rollback.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, plural, time } from "../format.js";
import { callerLabel } from "../parts/callers.js";
import { badge, button, card } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { notice } from "../parts/notice.js";
import { pagedTable } from "../parts/table.js";
import { when } from "../parts/when.js";
import { session } from "../session.js";

/** The imports that wrote labels, newest first. */
export function importsView(page, { signal, onRolledBack }) {
  if (!page.data.length) return null;
  return card(
    "Imports",
    pagedTable({
      caption: "Imports",
      first: page,
      path: "/v1/datasets/imports",
      query: {},
      signal,
      columns: [
        { head: "Time", cell: (one) => when(one.created_at), heading: true },
        { head: "Imported by", cell: (one) => callerLabel(one.created_by) },
        { head: "Labels", cell: (one) => count(one.labels), kind: "number" },
        { head: "New", cell: (one) => count(one.report.new), kind: "number" },
        { head: "Changed", cell: (one) => count(one.report.changed), kind: "number" },
        { kind: "actions", cell: (one) => rollBackAction(one, onRolledBack) },
      ],
    }),
  );
}

function rollBackAction(one, onRolledBack) {
  if (one.rolled_back_at) return badge("rolled back", "warn");
  const own = one.created_by === session.caller?.id;
  if (!session.may("admin") && !(own && session.may("label"))) return null;
  const element = button("Roll back", () => rollBack(one, onRolledBack), { size: "small" });
  element.setAttribute("aria-label", `Roll back the import of ${time(one.created_at)}`);
  return element;
}

async function rollBack(one, onRolledBack) {
  const done = await confirm({
    title: "Roll back this import?",
    body: h(
      "p",
      {},
      `Removes the ${plural(one.labels, "label")} of this import. Earlier labels of the same queries apply again; later labels are kept.${agentsStay(one)}`,
    ),
    action: "Roll back",
    danger: true,
    act: () => api("DELETE", `/v1/datasets/imports/${one.id}`),
  });
  if (done === undefined) return;
  notice("Import rolled back.");
  await onRolledBack();
}

const agentsStay = ({ report }) =>
  report.created?.length ? " The agents that it created stay." : "";
