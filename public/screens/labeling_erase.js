// Erasing the text of a labeled query everywhere (docs/erasure.md).

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, plural } from "../format.js";
import { button } from "../parts/controls.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { notice } from "../parts/notice.js";

const DELETED = [
  "its log rows, with their feedback",
  "its labels of all labelers, with history and notes",
  "its text in evaluations (the results are kept)",
  "cached chat answers",
];

/** Asks for confirmation, erases the label's query and calls `show`. */
export async function eraseQuery(label, show) {
  const erased = await confirm({
    title: "Erase this query?",
    body: h(
      "div",
      { class: "stack" },
      h("p", { class: "label-query" }, label.query),
      h("p", {}, "This deletes permanently:"),
      h(
        "ul",
        {},
        DELETED.map((text) => h("li", {}, text)),
      ),
    ),
    action: "Erase",
    danger: true,
    act: () => api("DELETE", `/v1/labels/${label.query_hash}`),
  });
  if (erased === undefined) return;
  const { logs, labels, feedback, done } = erased;
  notice(
    `Erased: ${plural(logs, "log row")}, ${plural(labels, "label")}, ${count(feedback)} feedback. ${
      done ? "" : "The rest is deleted in the background."
    }`,
  );
  if (erased.gateway_logs) showGatewayLogs(erased);
  await show();
}

/** The product cannot delete entries of AI Gateway's log. */
function showGatewayLogs({ gateway_logs: entries, gateway_log_ids: ids }) {
  const dialog = openDialog({
    title: "Entries in AI Gateway's log",
    body: [
      h(
        "p",
        {},
        `${plural(entries, "entry", "entries")} of AI Gateway's log may still contain the text. Delete them in the Cloudflare dashboard.`,
      ),
      h("pre", { tabindex: "0" }, ids.join("\n")),
      h(
        "div",
        { class: "form-actions" },
        button("Close", () => dialog.close(), { kind: "main" }),
      ),
    ],
  });
}
