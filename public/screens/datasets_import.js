// Import of label files: the file is read, its columns and agents are chosen, what would be written
// is shown, and then it is written in one request.

import { ApiError, upload } from "../api.js";
import { h, replace } from "../dom.js";
import { bytes, percent, plural } from "../format.js";
import { readAgents } from "../parts/agents.js";
import { setBusy } from "../parts/busy.js";
import { button, card } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { notice } from "../parts/notice.js";
import { watchInput } from "../parts/unsaved.js";
import { agentsStep } from "./datasets_import_agents.js";
import { columnsStep } from "./datasets_import_columns.js";
import { errorReport, errorTable, importView } from "./datasets_import_report.js";

const PATH = "/v1/datasets/import";
const MAX_BYTES = 100_000_000; // the API's limit
const WITH_PROGRESS = 1_000_000; // smaller files are sent at once

/** `onImported` gets the result of an import that has written something. */
export function importCard({ may, signal, onImported }) {
  const columns = h("div", {});
  const names = h("div", {});
  const report = h("div", { "aria-live": "polite" });
  const input = h("input", {
    type: "file",
    id: "import-file",
    accept: ".jsonl,.json,.csv,.tsv,.txt,.gz",
    onchange: () => openFile(),
    onclick: () => {
      input.value = ""; // so that the same file, corrected, can be selected again
    },
  });
  const metadata = field({
    name: "metadata",
    label: "Keep split, labeler, source and time of the export",
    type: "checkbox",
    value: true,
  });
  metadata.element.addEventListener("change", () => changed());
  const check = button("Check", () => checkFile(), { kind: "main" });
  const actions = h("div", { class: "form-actions", hidden: true }, check);

  let file = null; // {name, content}: read once, so that all requests send the same bytes
  let steps = null; // {columns, names}; there are no names while a preview of other columns is under way
  let newest = 0;

  /** Sends the file; `show` gets the result, unless another request has begun since. An error offers `retry`. */
  async function send(path, { mapping, query, working, show, retry = null }) {
    newest += 1;
    const number = newest;
    const form = new FormData();
    if (mapping) form.append("mapping", JSON.stringify(mapping));
    form.append("file", file.content, file.name);
    const waiting = h("p", { class: "loading" }, working);
    replace(report, waiting);
    setBusy(check, true);
    try {
      const result = await upload(path, form, {
        query,
        signal,
        onProgress: (share) => {
          if (file?.content.size > WITH_PROGRESS)
            waiting.textContent = share < 1 ? `Sending the file: ${percent(share, 0)}` : working;
        },
      });
      if (number === newest) await show(result);
    } catch (error) {
      if (number !== newest || error.name === "AbortError") return;
      replace(report, steps?.names?.show(error) ? null : errorReport(error, file.name, retry));
    } finally {
      if (number === newest) setBusy(check, false);
    }
  }

  async function openFile() {
    const [chosen] = input.files;
    if (!chosen) return;
    clear();
    if (chosen.size > MAX_BYTES) {
      const words = `The file has ${bytes(chosen.size)}; the limit is ${bytes(MAX_BYTES)}. Split it.`;
      replace(report, h("p", { class: "error" }, words));
      return;
    }
    try {
      file = { name: chosen.name, content: await contentOf(chosen) };
    } catch (error) {
      replace(report, errorReport(error, chosen.name));
      return;
    }
    await preview(null);
  }

  /** Reads the file's columns and agents. `chosen` are the columns that the user has chosen. */
  function preview(chosen) {
    if (chosen) {
      // The names of the former columns may be others: no choice is made among them.
      steps.names = null;
      replace(names);
      actions.hidden = true;
    }
    return send(`${PATH}/preview`, {
      mapping: chosen && { columns: chosen },
      retry: chosen && (() => preview(steps.columns.value())),
      working: "Reading the file …",
      show: async (found) => {
        const agents = await readAgents(signal); // an import may have created some
        actions.hidden = false;
        const list = agentsStep(found, { agents, mayCreate: may("admin"), onChange: changed });
        steps = {
          columns: chosen ? steps.columns : columnsStep(found, { onChange: changed, preview }),
          names: list,
        };
        if (!chosen) replace(columns, steps.columns.element);
        replace(names, list.element);
        if (!chosen) unchanged();
        replace(report, found.error_count ? errorTable(found, file.name) : null);
        if (!found.error_count && steps.columns.complete() && !list.unknown) return checkFile();
        return null;
      },
    });
  }

  const mappingNow = () => ({ columns: steps.columns.value(), ...steps.names?.value() });
  const query = () => ({ metadata: metadata.value() ? "keep" : "ignore" });

  function checkFile() {
    showImport(null);
    if (!steps.columns.validate() || !steps.names.validate()) return null;
    return send(PATH, {
      mapping: mappingNow(),
      query: { ...query(), dry_run: true },
      working: "Checking the file …",
      show: (found) => {
        replace(report, importView(found));
        showImport(found);
      },
    });
  }

  function importFile(run) {
    setBusy(run, true);
    return send(PATH, {
      mapping: mappingNow(),
      query: query(),
      working: "Importing …",
      show: async (done) => {
        clear();
        input.value = "";
        input.focus(); // the button is gone
        replace(report, importView(done));
        notice("Imported.");
        await onImported(done);
      },
    }).finally(() => setBusy(run, false));
  }

  /** The button that imports what was checked; without a result of a check there is none. */
  function showImport(found) {
    const words = found && importWords(found);
    const run = words ? button(words, () => importFile(run), { kind: "main" }) : null;
    if (run) delete check.dataset.kind;
    else check.dataset.kind = "main";
    replace(actions, check, run);
  }

  function changed() {
    if (!steps?.names) return; // the preview under way takes the choices as they are then
    newest += 1; // a check that is under way is of other choices
    setBusy(check, false);
    replace(report);
    showImport(null);
  }

  function clear() {
    newest += 1;
    file = null;
    steps = null;
    actions.hidden = true;
    showImport(null);
    setBusy(check, false);
    replace(columns);
    replace(names);
    replace(report);
    unchanged();
  }

  const frame = card(
    "Import",
    h(
      "div",
      { class: "form" },
      h(
        "p",
        { class: "help" },
        "JSON Lines, a JSON array, or CSV with the names of its columns in the first line. Nothing is written before you have seen what would be, and one invalid line rejects the whole file. The labels count as your votes.",
      ),
      h("div", { class: "field" }, h("label", { for: "import-file" }, "File"), input),
      metadata.element,
      columns,
      names,
      report,
      actions,
    ),
  );
  // Leaving asks once the user has changed what was preselected.
  const unchanged = watchInput(frame, () => steps && mappingNow());
  return frame;
}

/** Read before sending: a file that was changed after its selection cannot be sent. */
async function contentOf(file) {
  try {
    return new Blob([await file.arrayBuffer()]);
  } catch {
    throw new ApiError("The file was changed after you selected it. Select it again.");
  }
}

/** What the import does, in the words of its button; null if it would do nothing. */
function importWords({ new: fresh, changed, outvoted, created }) {
  const labels = fresh + changed + outvoted;
  const parts = [
    labels ? `import ${plural(labels, "label")}` : null,
    created.length ? `create ${plural(created.length, "agent")}` : null,
  ].filter(Boolean);
  const words = parts.join(" and ");
  return words ? words[0].toUpperCase() + words.slice(1) : null;
}
