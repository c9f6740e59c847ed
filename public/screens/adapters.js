// LoRA adapters: upload, list and state.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { bytes, count, NOTHING, plural } from "../format.js";
import { badge, pageHead, progressBar } from "../parts/controls.js";
import { stateBadge } from "../parts/job.js";
import { empty, load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { inPageWords } from "../parts/page_words.js";
import { pagedTable } from "../parts/table.js";
import { when } from "../parts/when.js";
import { address } from "../router.js";
import { intakeForm } from "./adapters_intake.js";
import { STEPS, showAdapter } from "./adapters_one.js";

export async function open(page) {
  const [id] = page.path;
  await (id ? showAdapter(page, id) : list(page));
}

async function list({ root, signal, may }) {
  const body = h("div", { class: "stack" });
  const intake = h("div", {});
  replace(
    root,
    pageHead(
      "Adapters",
      "A LoRA adapter specializes a small base model for your agents. Train it with train_lora.py.",
    ),
    intake,
    body,
  );
  const show = () =>
    load(
      body,
      () => api("GET", "/v1/loras", { query: { limit: 20 }, signal }),
      (page) => [
        slots(page),
        page.drift?.map(({ message }) =>
          h("div", { class: "panel", "data-kind": "warn" }, message),
        ),
        page.drift_error
          ? h(
              "div",
              { class: "panel", "data-kind": "warn" },
              `The list of Workers AI could not be read: ${page.drift_error}`,
            )
          : null,
        page.data.length
          ? pagedTable({
              caption: "Adapters",
              first: page,
              path: "/v1/loras",
              query: { limit: 20 },
              signal,
              columns: COLUMNS,
            })
          : empty(
              "No adapters yet",
              "Export the labels under Datasets, train with python train_lora.py, then upload the two files above.",
            ),
      ],
      { signal, keep: true },
    );
  await show();
  if (may("admin")) {
    await load(
      intake,
      () => readModels(signal),
      (models) => intakeForm(models, signal),
      { signal },
    );
  }
}

function slots({ slots: { used, total } }) {
  return used === null
    ? null
    : progressBar(`${used} of ${plural(total, "adapter")} of the account used`, used / total);
}

const COLUMNS = [
  {
    head: "Adapter",
    heading: true,
    kind: "wide",
    cell: (lora) =>
      h(
        "div",
        { class: "stack-small" },
        h("a", { href: address(["adapters", lora.id]) }, lora.name),
        h("span", { class: "help" }, `base model: ${lora.base_model}`),
      ),
  },
  {
    head: "State",
    cell: (lora) => [stateBadge(lora.state), lora.active ? [" ", badge("active", "good")] : null],
  },
  {
    head: "Next step",
    cell: (lora) =>
      inPageWords(lora.error?.message) ??
      STEPS[lora.steps.find((step) => step.state !== "done")?.name] ??
      NOTHING,
    kind: "wide",
  },
  { head: "Rank", cell: (lora) => count(lora.rank), kind: "number" },
  { head: "Size", cell: (lora) => bytes(lora.size), kind: "number" },
  { head: "Started", cell: (lora) => when(lora.created_at) },
];
