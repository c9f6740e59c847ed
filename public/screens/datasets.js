// Datasets: export of labels for training, and import of labels.

import { api, call } from "../api.js";
import { h, replace } from "../dom.js";
import { bytes, count } from "../format.js";
import { agentLabel, agentOptions, NO_AGENT, OUT_OF_SCOPE, readAgents } from "../parts/agents.js";
import { badge, card, facts, link, pageHead, save } from "../parts/controls.js";
import { form } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { readCallerNames, readNames } from "../parts/names.js";
import { notice } from "../parts/notice.js";
import { table } from "../parts/table.js";
import { trainingNeeds } from "../parts/training_needs.js";
import { importCard } from "./datasets_import.js";
import { importsView } from "./datasets_imports.js";
import { machineLabelsCard } from "./datasets_machine.js";

export async function open({ root, signal, may }) {
  const stats = h("div", { class: "stack" });
  const exports = h("div", {});
  const imports = h("div", { class: "stack" });
  replace(
    root,
    pageHead(
      "Datasets",
      "Labels by split. Each query always stays in the same split, so test queries are never trained on.",
    ),
    stats,
    imports,
    may("label") ? importCard({ may, signal, onImported: (done) => onImported(done) }) : null,
    exports,
  );
  const showStats = () =>
    load(
      stats,
      () => Promise.all([api("GET", "/v1/datasets/stats", { signal }), readNames({ may, signal })]),
      ([stats]) => [statsView(stats, may), machineLabelsCard(stats.machine_labels)].flat(),
      {
        signal,
        keep: true,
      },
    );
  const showImports = () =>
    load(
      imports,
      () =>
        Promise.all([
          api("GET", "/v1/datasets/imports", { signal }),
          readCallerNames({ may, signal }),
        ]),
      ([page]) => importsView(page, { signal, onRolledBack: show }),
      { signal, keep: true },
    );
  const showExport = () =>
    load(
      exports,
      () => readAgents(signal),
      (agents) => exportCard(agents, signal),
      { signal, keep: true },
    );
  const show = () => Promise.all([showStats(), showImports()]);
  // What is chosen for an export stays, unless there are other agents to choose from.
  const onImported = ({ created }) => Promise.all([show(), created.length ? showExport() : null]);
  await Promise.all([show(), showExport()]);
}

function statsView({ total, agents, out_of_scope: none, near_duplicates: near, training }, may) {
  if (!total.labels)
    return empty(
      "No labels yet",
      "Label some queries, or import a file below.",
      may("label") ? link("Label", "#/labeling", { kind: "main" }) : null,
    );
  const rows = [...agents, { agent_id: null, status: null, ...none }];
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
    trainingNeeds(training),
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
              agentLabel(row.agent_id),
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
          label: "Split",
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
          options: agentOptions(agents, [null, "All"], [NO_AGENT, OUT_OF_SCOPE]),
        },
        {
          name: "source",
          label: "Source",
          type: "select",
          value: "human",
          options: [
            ["human", "Labels"],
            ["machine", "Machine labels"],
            ["all", "Labels and machine labels"],
          ],
        },
        {
          name: "dedupe",
          label: "Deduplicate",
          type: "select",
          value: "exact",
          options: [
            ["exact", "off"],
            ["near", "near-duplicates"],
          ],
        },
        {
          name: "manifest",
          label: "Include manifest line",
          type: "checkbox",
          value: false,
        },
      ],
      async onSubmit(query) {
        const response = await call("GET", "/v1/datasets/export", { query, signal });
        const file = await response.blob();
        if (!file.size) {
          notice("No labels match: the file would be empty.");
          return;
        }
        save(`edgeneuro-${query.split}-${query.format}.jsonl`, file);
        notice(`Exported ${bytes(file.size)}.`);
      },
    }),
  );
}
