// LoRA adapters: from two files to a model that can be selected.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { bytes, count, NOTHING, plural, time } from "../format.js";
import { badge, pageHead, progressBar } from "../parts/controls.js";
import { stateBadge } from "../parts/job.js";
import { empty, load } from "../parts/loading.js";
import { readModels } from "../parts/models.js";
import { pagedTable } from "../parts/table.js";
import { address } from "../router.js";
import { intakeForm } from "./adapters_intake.js";
import { one, STEPS } from "./adapters_one.js";

export async function open(page) {
  const [id] = page.path;
  await (id ? one(page, id) : list(page));
}

async function list({ root, signal, may }) {
  const body = h("div", { class: "stack" });
  const intake = h("div", {});
  replace(
    root,
    pageHead(
      "Adapters",
      "LoRA adapters teach a small base model to route as your labels say. They are trained outside, with train_lora.py.",
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
              `Workers AI's list could not be read: ${page.drift_error}`,
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
              "There is no adapter yet",
              "Export the labels under Datasets, train with python train_lora.py, then drop its two files above.",
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
    : progressBar(`${used} of ${plural(total, "adapter")} that the account may have`, used / total);
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
        h("span", { class: "help" }, `on ${lora.base_model}`),
      ),
  },
  {
    head: "State",
    cell: (lora) => [stateBadge(lora.state), lora.active ? [" ", badge("active", "good")] : null],
  },
  {
    head: "Next",
    cell: (lora) =>
      lora.error?.message ??
      STEPS[lora.steps.find((step) => step.state !== "done")?.name] ??
      NOTHING,
    kind: "wide",
  },
  { head: "Rank", cell: (lora) => count(lora.rank), kind: "number" },
  { head: "Size", cell: (lora) => bytes(lora.size), kind: "number" },
  { head: "Begun", cell: (lora) => time(lora.created_at) },
];
