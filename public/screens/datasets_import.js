// Import of label files, and the list of imports.

import { ApiError, api } from "../api.js";
import { h, replace } from "../dom.js";
import { bytes, count, NOTHING, plural, time } from "../format.js";
import { setBusy } from "../parts/busy.js";
import { badge, button, card, csv, save } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { field } from "../parts/form.js";
import { errorPanel } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { pagedTable, table } from "../parts/table.js";
import { when } from "../parts/when.js";
import { session } from "../session.js";

const MAX_BYTES = 100_000_000; // the API's limit

export function importCard(signal, onImported) {
  const report = h("div", { "aria-live": "polite" });
  const input = h("input", {
    type: "file",
    id: "import-file",
    accept: ".jsonl,.json,.csv,.tsv,.txt,.gz",
    onclick: () => {
      input.value = ""; // so that the same file, corrected, can be selected again
    },
  });
  const dry = field({
    name: "dry_run",
    label: "Validate only (dry run)",
    type: "checkbox",
    value: true,
  });
  const metadata = field({
    name: "metadata",
    label: "Keep split, labeler, source and time of the export",
    type: "checkbox",
    value: true,
  });
  const submit = h("button", { class: "button", "data-kind": "main" }, "Import");
  const run = async (event) => {
    event.preventDefault();
    const [file] = input.files;
    if (!file) {
      replace(report, h("p", { class: "error" }, "Select a file first."));
      return;
    }
    if (file.size > MAX_BYTES) {
      replace(
        report,
        h(
          "p",
          { class: "error" },
          `The file has ${bytes(file.size)}; the limit is ${bytes(MAX_BYTES)}. Split it.`,
        ),
      );
      return;
    }
    setBusy(submit, true);
    replace(report, h("p", { class: "loading" }, "Reading the file …"));
    try {
      const done = await api("POST", "/v1/datasets/import", {
        query: { dry_run: dry.value(), metadata: metadata.value() ? "keep" : "ignore" },
        body: await contentOf(file),
        type: "application/octet-stream",
        signal,
      });
      replace(report, importView(done));
      if (!done.dry_run) await onImported();
    } catch (error) {
      replace(report, errorReport(error, file.name));
    } finally {
      setBusy(submit, false);
    }
  };
  return card(
    "Import",
    h(
      "form",
      { class: "form", onsubmit: run },
      h(
        "p",
        { class: "help" },
        "JSON Lines (any export format), a JSON array, or CSV with the columns query and agent. One invalid line rejects the whole file. The labels count as your votes.",
      ),
      h("div", { class: "field" }, h("label", { for: "import-file" }, "File"), input),
      dry.element,
      metadata.element,
      report,
      h("div", { class: "form-actions" }, submit),
    ),
  );
}

/** Read before sending: a file that was changed after its selection cannot be sent. */
async function contentOf(file) {
  try {
    return await file.arrayBuffer();
  } catch {
    throw new ApiError("The file was changed after you selected it. Select it again.");
  }
}

function importView({ dry_run: dry, rows, new: fresh, changed, unchanged, ...file }) {
  const { duplicates, outvoted, split_kept: kept } = file;
  const mapped = Object.entries(file.mapped);
  return h(
    "div",
    { class: "panel", "data-kind": "good" },
    h("strong", {}, dry ? "The file is valid. Nothing was written." : "Imported."),
    h(
      "p",
      {},
      `${plural(rows, "line")}: ${count(fresh)} new, ${count(changed)} changed, ${count(unchanged)} unchanged, ${count(duplicates)} duplicates.`,
    ),
    outvoted
      ? h(
          "p",
          {},
          `${plural(outvoted, "label does", "labels do")} not change the label in force: other votes or a final label override.`,
        )
      : null,
    kept
      ? h(
          "p",
          {},
          `${plural(kept, "query stays", "queries stay")} in another split than the file says.`,
        )
      : null,
    file.encoding === "utf-8"
      ? null
      : h("p", {}, `The file was read as ${file.encoding.toUpperCase()}. Check accented letters.`),
    mapped.length
      ? h("p", {}, `Mapped agent names: ${mapped.map((pair) => pair.join(" → ")).join(", ")}.`)
      : null,
    dry ? h("p", { class: "help" }, "To import it, clear “Validate only (dry run)”.") : null,
  );
}

function errorReport(error, name) {
  const { errors = [], error_count: all = errors.length } = error.details ?? {};
  if (!errors.length) return errorPanel(error);
  return h(
    "div",
    { class: "stack" },
    errorPanel(error),
    table({
      caption:
        all > errors.length
          ? `The first ${errors.length} of ${count(all)} errors`
          : plural(all, "error"),
      rows: errors,
      columns: [
        { head: "Line", cell: (each) => count(each.line), kind: "number" },
        { head: "Field", cell: (each) => each.param ?? NOTHING },
        { head: "Error", cell: (each) => each.message, kind: "wide", heading: true },
      ],
    }),
    button(
      "Export errors (CSV)",
      () =>
        save(
          `${name}-errors.csv`,
          csv([
            ["line", "field", "error"],
            ...errors.map((each) => [each.line, each.param, each.message]),
          ]),
          "text/csv",
        ),
      { size: "small" },
    ),
  );
}

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
        { head: "Imported by", cell: (one) => one.created_by },
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
      `Removes the ${plural(one.labels, "label")} of this import. Earlier labels of the same queries apply again; later labels are kept.`,
    ),
    action: "Roll back",
    danger: true,
    act: () => api("DELETE", `/v1/datasets/imports/${one.id}`),
  });
  if (done === undefined) return;
  notice("Import rolled back.");
  await onRolledBack();
}
