// Data sets: the labels as files for trainers, and files of labels as they come in.

import { ApiError, api, call } from "../api.js";
import { h, replace } from "../dom.js";
import { bytes, count, NOTHING, plural } from "../format.js";
import { agentOptions, NO_AGENT, readAgents } from "../parts/agents.js";
import { setBusy } from "../parts/busy.js";
import { badge, button, card, csv, facts, link, pageHead, save } from "../parts/controls.js";
import { field, form } from "../parts/form.js";
import { empty, errorPanel, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";

const MOST_BYTES = 8_000_000; // as the API takes

export async function open({ root, signal, may }) {
  const stats = h("div", { class: "stack" });
  const forms = h("div", { class: "columns" });
  replace(
    root,
    pageHead(
      "Datasets",
      "Each question is in one part for ever: training, validation or test. So no test is ever trained on.",
    ),
    stats,
    forms,
  );
  const show = () =>
    load(
      stats,
      () => api("GET", "/v1/datasets/stats", { signal }),
      (stats) => statsView(stats, may),
      {
        signal,
        keep: true,
      },
    );
  await Promise.all([
    show(),
    load(
      forms,
      () => readAgents(signal),
      (agents) => [exportCard(agents, signal), may("label") ? importCard(signal, show) : null],
      { signal },
    ),
  ]);
}

function statsView({ total, agents, out_of_scope: none, near_duplicates: near, training }, may) {
  if (!total.labels)
    return empty(
      "There are no labels yet",
      "Label some questions, or import a file of labels below.",
      may("label") ? link("Label", "#/labelling", { kind: "main" }) : null,
    );
  const rows = [...agents, { agent_id: "No agent fits", status: null, ...none }];
  return [
    h(
      "section",
      { class: "card" },
      facts([
        ["Labels", count(total.labels)],
        ["Training", count(total.train)],
        ["Validation", count(total.validation)],
        ["Test", count(total.test)],
        ["Near-duplicates", count(near)],
      ]),
    ),
    h(
      "div",
      { class: "panel", "data-kind": training.ready ? "good" : "warn" },
      training.message,
      training.ready
        ? null
        : ` With ${training.labels_needed_of_each} for each agent these are still missing: ${
            training.agents
              .filter((agent) => agent.missing)
              .map((agent) => `${agent.agent_id} ${agent.missing}`)
              .join(", ") || "none"
          }.`,
    ),
    table({
      caption: "By agent",
      rows,
      columns: [
        {
          head: "Agent",
          heading: true,
          cell: (row) =>
            h(
              "span",
              { class: "row" },
              row.agent_id,
              row.status && row.status !== "enabled" ? badge(row.status, "warn") : null,
            ),
        },
        { head: "Labels", cell: (row) => count(row.labels), kind: "number" },
        { head: "Training", cell: (row) => count(row.train), kind: "number" },
        { head: "Validation", cell: (row) => count(row.validation), kind: "number" },
        { head: "Test", cell: (row) => count(row.test), kind: "number" },
      ],
    }),
  ];
}

function exportCard(agents, signal) {
  return card(
    "Export",
    form({
      action: "Download",
      fields: [
        {
          name: "format",
          label: "Format",
          type: "select",
          value: "chat",
          options: [
            ["chat", "chat: messages, for train_lora.py and most trainers"],
            ["prompt", "prompt: prompt and completion"],
            ["flat", "flat: query and agent"],
          ],
        },
        {
          name: "split",
          label: "Part",
          type: "select",
          value: "train",
          options: [
            ["train", "Training"],
            ["validation", "Validation"],
            ["test", "Test"],
            ["all", "All"],
          ],
        },
        {
          name: "agent",
          label: "Agent",
          type: "select",
          options: agentOptions(agents, [null, "All"], [NO_AGENT, "No agent fits"]),
        },
        {
          name: "dedupe",
          label: "Near-duplicates",
          type: "select",
          value: "exact",
          options: [
            ["exact", "keep"],
            ["near", "leave one of each group"],
          ],
        },
        {
          name: "manifest",
          label: "Begin with a line that describes the file",
          type: "checkbox",
          value: false,
        },
      ],
      async onSubmit(query) {
        const response = await call("GET", "/v1/datasets/export", { query, signal });
        const file = await response.blob();
        if (!file.size) {
          notice("No label fits: the file would be empty.");
          return;
        }
        save(`edgeneuro-${query.split}-${query.format}.jsonl`, file);
        notice(`The file has ${bytes(file.size)}.`);
      },
    }),
  );
}

function importCard(signal, onImported) {
  const report = h("div", { "aria-live": "polite" });
  const input = h("input", {
    type: "file",
    id: "import-file",
    accept: ".jsonl,.json,.csv,.tsv,.txt,.gz",
    onclick: () => {
      input.value = ""; // so that the same file, mended, is chosen anew
    },
  });
  const dry = field({
    name: "dry_run",
    label: "Only check the file",
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
    if (file.size > MOST_BYTES) {
      replace(
        report,
        h(
          "p",
          { class: "fault" },
          `The file has ${bytes(file.size)}; send it in parts of at most ${bytes(MOST_BYTES)}.`,
        ),
      );
      return;
    }
    setBusy(submit, true);
    replace(report, h("p", { class: "loading" }, "Reading the file …"));
    try {
      const done = await api("POST", "/v1/datasets/import", {
        query: { dry_run: dry.value() },
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
        "JSON Lines as exported here in any format, a JSON array, or CSV with the columns query and agent. Nothing is imported unless every line is right.",
      ),
      h("div", { class: "field" }, h("label", { for: "import-file" }, "File"), input),
      dry.element,
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

function importView({ dry_run: dry, rows, new: fresh, changed, unchanged, duplicates, ...file }) {
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
