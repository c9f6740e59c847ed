// Files of labels as they come in, and the imports that were made.

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
import { session } from "../session.js";

const MAX_BYTES = 100_000_000; // as the API takes

export function importCard(signal, onImported) {
  const report = h("div", { "aria-live": "polite" });
  const input = h("input", {
    type: "file",
    id: "import-file",
    accept: ".jsonl,.json,.csv,.tsv,.txt,.gz",
    onclick: () => {
      input.value = ""; // so that the same file can be chosen again once it is corrected
    },
  });
  const dry = field({
    name: "dry_run",
    label: "Only check the file",
    type: "checkbox",
    value: true,
  });
  const metadata = field({
    name: "metadata",
    label: "Keep what an export says of split, labeler, source and time",
    type: "checkbox",
    value: true,
  });
  const submit = h("button", { class: "button", "data-kind": "main" }, "Import");
  const run = async (event) => {
    event.preventDefault();
    const [file] = input.files;
    if (!file) {
      replace(report, h("p", { class: "fault" }, "Choose a file first."));
      return;
    }
    if (file.size > MAX_BYTES) {
      replace(
        report,
        h(
          "p",
          { class: "fault" },
          `The file has ${bytes(file.size)}; send it in parts of at most ${bytes(MAX_BYTES)}.`,
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
        "JSON Lines as exported here in any format, a JSON array, or CSV with the columns query and agent. Nothing is imported unless every line is right. The labels are your votes.",
      ),
      h("div", { class: "field" }, h("label", { for: "import-file" }, "File"), input),
      dry.element,
      metadata.element,
      report,
      h("div", { class: "form-actions" }, submit),
    ),
  );
}

/** Read at once: a file that was changed since it was chosen cannot be sent. */
async function contentOf(file) {
  try {
    return await file.arrayBuffer();
  } catch {
    throw new ApiError("The file has changed since it was chosen. Choose it again.");
  }
}

function importView({ dry_run: dry, rows, new: fresh, changed, unchanged, ...file }) {
  const { duplicates, outvoted, split_kept: kept } = file;
  const mapped = Object.entries(file.mapped);
  return h(
    "div",
    { class: "panel", "data-kind": "good" },
    h("strong", {}, dry ? "Every line is right. Nothing was written yet." : "Imported."),
    h(
      "p",
      {},
      `${plural(rows, "line")}: ${count(fresh)} new, ${count(changed)} changed, ${count(unchanged)} as they were, ${count(duplicates)} twice in the file.`,
    ),
    outvoted
      ? h(
          "p",
          {},
          `${plural(outvoted, "label is", "labels are")} a vote against the label in force, which stays: other labelers or a final label decide.`,
        )
      : null,
    kept
      ? h(
          "p",
          {},
          `${plural(kept, "question stays", "questions stay")} in another part of the data set than the file says.`,
        )
      : null,
    file.encoding === "utf-8"
      ? null
      : h("p", {}, `The file was read as ${file.encoding.toUpperCase()}; check its accents.`),
    mapped.length
      ? h("p", {}, `Agents by other names: ${mapped.map((pair) => pair.join(" → ")).join(", ")}.`)
      : null,
    dry
      ? h("p", { class: "help" }, "Take the tick from “Only check the file”, and import it.")
      : null,
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
          ? `The first ${errors.length} of ${count(all)} faults`
          : plural(all, "fault"),
      rows: errors,
      columns: [
        { head: "Line", cell: (fault) => count(fault.line), kind: "number" },
        { head: "Field", cell: (fault) => fault.param ?? NOTHING },
        { head: "What is wrong", cell: (fault) => fault.message, kind: "wide", heading: true },
      ],
    }),
    button(
      "Download the faults (CSV)",
      () =>
        save(
          `${name}-faults.csv`,
          csv([
            ["line", "field", "fault"],
            ...errors.map((fault) => [fault.line, fault.param, fault.message]),
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
        { head: "When", cell: (one) => time(one.created_at), heading: true },
        { head: "By", cell: (one) => one.created_by },
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
    title: "Roll this import back",
    body: h(
      "p",
      {},
      `Its ${plural(one.labels, "label")} no longer count; labels that were given before or since decide. The questions stay in their parts of the data set.`,
    ),
    action: "Roll back",
    danger: true,
    act: () => api("DELETE", `/v1/datasets/imports/${one.id}`),
  });
  if (done === undefined) return;
  notice("The import is rolled back.");
  await onRolledBack();
}
