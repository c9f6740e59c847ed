// Adding an adapter: files, validation and upload.

import { api, upload } from "../api.js";
import { h, newId, replace } from "../dom.js";
import { bytes, plural } from "../format.js";
import { actionButton, button, card, progressBar } from "../parts/controls.js";
import { field, formDialog, read } from "../parts/form.js";
import { errorPanel, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { ADAPTER_NAME } from "../parts/patterns.js";
import { go } from "../router.js";
import { checkList } from "./adapters_one.js";

const CONFIG = "adapter_config.json";

const WEIGHTS = "adapter_model.safetensors";

export function intakeForm(models, signal) {
  const bases = models
    .filter((model) => model.type === "base" && model.supports_lora)
    .map((model) => [model.id, model.id]);
  const files = new Map();
  const base = field({
    name: "base_model",
    label: "Base model",
    type: "select",
    options: bases,
  });
  const name = field({
    name: "name",
    label: "Name",
    required: true,
    maxlength: 100,
    ...ADAPTER_NAME,
    help: "Letters, digits, dots and hyphens. It becomes the model's name.",
  });
  const report = h("div", { "aria-live": "polite" });
  const chosen = h("p", { class: "help" }, `${CONFIG} and ${WEIGHTS}`);
  const input = h("input", {
    type: "file",
    id: newId("files"),
    multiple: true,
    class: "hidden-text",
    onchange: () => take([...input.files]),
    onclick: () => {
      input.value = ""; // so that the same file, corrected, can be selected again
    },
  });
  const drop = h(
    "div",
    {
      class: "drop",
      ondragover: (event) => {
        event.preventDefault();
        drop.dataset.over = "true";
      },
      ondragleave: () => delete drop.dataset.over,
      ondrop: (event) => {
        event.preventDefault();
        delete drop.dataset.over;
        take(event.dataTransfer.files);
      },
    },
    h(
      "label",
      { for: input.id, class: "strong" },
      "Drop the adapter's two files here, or select them",
    ),
    chosen,
    input,
    button("Select files", () => input.click(), { size: "small" }),
  );
  const start = actionButton("Upload", () => send(), { kind: "main", disabled: true });
  const formData = () => {
    const form = new FormData();
    form.append("name", name.validate() === null ? name.value() : crypto.randomUUID());
    form.append("base_model", base.value());
    for (const [fileName, file] of files) form.append(fileName, file, fileName);
    return form;
  };
  const take = async (given) => {
    for (const file of given) {
      if (file.name === CONFIG || file.name === WEIGHTS) files.set(file.name, file);
      else notice(`${file.name} was ignored: an adapter has ${CONFIG} and ${WEIGHTS}.`);
    }
    replace(
      chosen,
      [...files.values()].map((file) => `${file.name} (${bytes(file.size)})`).join(" · ") ||
        `${CONFIG} and ${WEIGHTS}`,
    );
    await preflight();
  };
  let checking = new AbortController();
  const preflight = async () => {
    checking.abort(new DOMException("Other files were selected.", "AbortError"));
    checking = new AbortController();
    const ended = AbortSignal.any([signal, checking.signal]);
    start.disabled = true;
    if (files.size < 2) {
      replace(
        report,
        files.size
          ? h(
              "p",
              { class: "help" },
              `${[CONFIG, WEIGHTS].find((one) => !files.has(one))} is missing.`,
            )
          : null,
      );
      return;
    }
    await load(
      report,
      () =>
        upload("/v1/loras/preflight", formData(), {
          signal: ended,
          onProgress: (share) => ended.aborted || replace(report, progressBar("Validating", share)),
        }),
      (found) => {
        start.disabled = !found.ok;
        return preflightView(found);
      },
      { signal: ended, retry: preflight },
    );
  };
  const send = async () => {
    const { name: wanted } = read([name]);
    if (models.some((model) => model.id === wanted || model.aliases.includes(wanted))) {
      name.show(`A model named ${wanted} already exists. Use another name.`);
      name.focus();
      return;
    }
    const onProgress = (share) => {
      const text = share < 1 ? "Uploading" : "Uploaded, saving";
      replace(report, progressBar(text, share));
    };
    try {
      const lora = await upload("/v1/loras", formData(), { signal, onProgress });
      notice(`${lora.name} is being uploaded to Workers AI.`);
      go(["adapters", lora.id]);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.param !== "name") {
        replace(
          report,
          errorPanel(error, () => start.click()),
        );
        return;
      }
      replace(report);
      name.show(error.message);
      name.focus();
    }
  };
  base.element.addEventListener("change", preflight);
  return card(
    "Add adapter",
    h(
      "div",
      { class: "stack" },
      bases.length
        ? null
        : h(
            "p",
            { class: "error" },
            "No base model supports adapters. Use “Sync from Workers AI” under Models.",
          ),
      h("div", { class: "columns" }, name.element, base.element),
      drop,
      report,
      h(
        "div",
        { class: "spread" },
        h(
          "span",
          { class: "help" },
          "Larger than 100 MB: npm run adapter -- upload DIR. Already uploaded with wrangler:",
        ),
        h(
          "div",
          { class: "row" },
          button("Register by name", () => byName(bases)),
          start,
        ),
      ),
    ),
  );
}

async function byName(bases) {
  const lora = await formDialog({
    title: "Register an existing fine-tune of Workers AI",
    action: "Register",
    fields: [
      {
        name: "name",
        label: "Fine-tune name",
        required: true,
        help: "The name used with npx wrangler ai finetune create.",
      },
      { name: "base_model", label: "Base model", type: "select", options: bases },
    ],
    onSubmit: (body) => api("POST", "/v1/loras", { body }),
  });
  if (lora) go(["adapters", lora.id]);
}

function preflightView({ ok, checks, rank, target_modules: modules, parameters, size }) {
  return h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "panel", "data-kind": ok ? "good" : "bad" },
      h("strong", {}, ok ? "Validation passed." : "Validation failed."),
      h(
        "p",
        { class: "small" },
        [
          rank ? `rank ${rank}` : null,
          modules.join(", "),
          parameters ? plural(parameters, "parameter") : null,
          bytes(size),
        ]
          .filter(Boolean)
          .join(" · "),
      ),
    ),
    checkList(checks),
  );
}
