// LoRA adapters: from two files to a model that can be selected.

import { api, everything, upload } from "../api.js";
import { h, newId, replace } from "../dom.js";
import { NOTHING, bytes, count, plural, time, words } from "../format.js";
import { actionButton, badge, button, card, facts, link, pageHead, progressBar } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { field, formDialog } from "../parts/form.js";
import { stateBadge, underWay } from "../parts/job.js";
import { empty, errorPanel, load, poll } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { pagedTable } from "../parts/table.js";
import { address, go } from "../router.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
const STEPS = {
  find: "Find it at Workers AI",
  create: "Create the fine-tune",
  upload_config: "Upload the configuration",
  upload_weights: "Upload the weights",
  probe: "Ask it one question",
  register: "Register it as a model",
};

export async function open(page) {
  const [id] = page.path;
  await (id ? one(page, id) : list(page));
}

async function list({ root, signal, may }) {
  const body = h("div", { class: "stack" });
  const intake = h("div", {});
  replace(root, pageHead("Adapters", "LoRA adapters teach a small base model to route as your labels say. They are trained outside, with train_lora.py."), intake, body);
  const show = () =>
    load(
      body,
      () => api("GET", "/v1/loras", { query: { limit: 20 }, signal }),
      (page) => [
        slots(page),
        page.drift?.map(({ message }) => h("div", { class: "panel", "data-kind": "warn" }, message)),
        page.drift_error ? h("div", { class: "panel", "data-kind": "warn" }, `Workers AI's list could not be read: ${page.drift_error}`) : null,
        page.data.length
          ? pagedTable({ caption: "Adapters", first: page, path: "/v1/loras", query: { limit: 20 }, signal, columns: COLUMNS })
          : empty("There is no adapter yet", "Export the labels under Datasets, train with python train_lora.py, then drop its two files above."),
      ],
      { signal, keep: true },
    );
  await show();
  if (may("admin")) {
    await load(intake, () => everything("/v1/models", { signal }), (models) => intakeForm(models, signal), { signal });
  }
}

function slots({ slots: { used, total } }) {
  return used === null ? null : progressBar(`${used} of ${plural(total, "adapter")} that the account may have`, used / total);
}

const COLUMNS = [
  { head: "Adapter", heading: true, kind: "wide", cell: (lora) => h("div", { class: "stack-small" }, h("a", { href: address(["adapters", lora.id]) }, lora.name), h("span", { class: "help" }, `on ${lora.base_model}`)) },
  { head: "State", cell: (lora) => [stateBadge(lora.state), lora.active ? [" ", badge("active", "good")] : null] },
  { head: "Next", cell: (lora) => lora.error?.message ?? STEPS[lora.steps.find((step) => step.state !== "done")?.name] ?? NOTHING, kind: "wide" },
  { head: "Rank", cell: (lora) => count(lora.rank), kind: "number" },
  { head: "Size", cell: (lora) => bytes(lora.size), kind: "number" },
  { head: "Begun", cell: (lora) => time(lora.created_at) },
];

function intakeForm(models, signal) {
  const bases = models.filter((model) => model.type === "base" && model.supports_lora).map((model) => [model.id, model.id]);
  const files = new Map();
  const base = field({ name: "base_model", label: "Base model that it was trained on", type: "select", options: bases });
  const name = field({ name: "name", label: "Name", required: true, maxlength: 100, help: "Letters, digits, dots, hyphens: it becomes the model's name." });
  const report = h("div", { "aria-live": "polite" });
  const chosen = h("p", { class: "help" }, `${CONFIG} and ${WEIGHTS}`);
  const input = h("input", { type: "file", id: newId("files"), multiple: true, class: "hidden-text", onchange: () => take(input.files) });
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
    h("label", { for: input.id, class: "strong" }, "Drop the adapter's two files here, or choose them"),
    chosen,
    input,
    button("Choose files", () => input.click(), { size: "small" }),
  );
  const start = actionButton("Upload", () => send(), { kind: "main", disabled: true });
  const formData = () => {
    const form = new FormData();
    form.append("name", name.value() ?? "unnamed");
    form.append("base_model", base.value());
    for (const [fileName, file] of files) form.append(fileName, file, fileName);
    return form;
  };
  const take = async (given) => {
    for (const file of given) {
      if (file.name === CONFIG || file.name === WEIGHTS) files.set(file.name, file);
      else notice(`${file.name} is not needed: an adapter is ${CONFIG} and ${WEIGHTS}.`);
    }
    replace(chosen, [...files.values()].map((file) => `${file.name} (${bytes(file.size)})`).join(" · ") || `${CONFIG} and ${WEIGHTS}`);
    await preflight();
  };
  const preflight = async () => {
    start.disabled = true;
    if (files.size < 2) {
      replace(report, files.size ? h("p", { class: "help" }, `${[CONFIG, WEIGHTS].find((one) => !files.has(one))} is still missing.`) : null);
      return;
    }
    await load(
      report,
      () => upload("/v1/loras/preflight", formData(), { signal, onProgress: (share) => replace(report, progressBar("Checking the files", share)) }),
      (found) => {
        start.disabled = !found.ok;
        return preflightView(found);
      },
      { signal },
    );
  };
  const send = async () => {
    name.show(null);
    if (name.value() === null) {
      name.show("Give it a name.");
      name.focus();
      return;
    }
    try {
      const lora = await upload("/v1/loras", formData(), { signal, onProgress: (share) => replace(report, progressBar(share < 1 ? "Uploading" : "Uploaded; it is being stored", share)) });
      notice(`${lora.name} is on its way to Workers AI.`);
      go(["adapters", lora.id]);
    } catch (error) {
      if (error.param === "name") {
        name.show(error.message);
        name.focus();
      }
      replace(report, errorPanel(error, () => send().catch(() => {})));
    }
  };
  base.element.addEventListener("change", preflight);
  return card(
    "Add an adapter",
    h(
      "div",
      { class: "stack" },
      bases.length ? null : h("p", { class: "fault" }, "No base model here takes adapters. Ask Workers AI for its models under Models."),
      h("div", { class: "columns" }, name.element, base.element),
      drop,
      report,
      h(
        "div",
        { class: "spread" },
        h("span", { class: "help" }, "Above 100 MB: npm run adapter -- upload DIR. Uploaded already with wrangler?"),
        h("div", { class: "row" }, button("Register by name", () => byName(bases)), start),
      ),
    ),
  );
}

async function byName(bases) {
  const lora = await formDialog({
    title: "Register a fine-tune that is at Workers AI already",
    action: "Register",
    fields: [
      { name: "name", label: "Its name there", required: true, help: "As given to npx wrangler ai finetune create." },
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
    h("div", { class: "panel", "data-kind": ok ? "good" : "bad" }, h("strong", {}, ok ? "The adapter fits." : "The adapter would be refused."), h("p", { class: "small" }, [rank ? `rank ${rank}` : null, modules.join(", "), parameters ? plural(parameters, "parameter") : null, bytes(size)].filter(Boolean).join(" · "))),
    checkList(checks),
  );
}

function checkList(checks) {
  return h(
    "ul",
    { class: "checklist" },
    checks.map(({ rule, passed, found, message }) =>
      h(
        "li",
        {},
        badge({ true: "passed", false: "failed", null: "not judged" }[passed], { true: "good", false: "bad", null: "warn" }[passed]),
        h("span", {}, h("strong", {}, words(rule)), found ? `: ${found}` : "", passed === true && !message ? null : h("span", { class: passed === false ? "fault" : "help" }, ` ${message}`)),
      ),
    ),
  );
}

async function one({ root, signal, may }, id) {
  const body = h("div", { class: "stack" });
  replace(root, pageHead("Adapter", null, link("All adapters", "#/adapters", { size: "small" })), body);
  let lora = null;
  const show = async () => {
    await load(
      body,
      () => api("GET", `/v1/loras/${id}`, { signal }),
      (found) => {
        lora = found;
        return view(found, may, () => poll(show, { signal }));
      },
      { signal, keep: true },
    );
    return lora !== null && underWay(lora.state);
  };
  await poll(show, { signal });
}

function view(lora, may, follow) {
  const path = `/v1/loras/${lora.id}`;
  return [
    card(
      lora.name,
      facts([
        ["State", [stateBadge(lora.state), lora.active ? [" ", badge("active", "good")] : null]],
        ["Base model", lora.base_model],
        ["Rank", count(lora.rank)],
        ["Target modules", lora.target_modules.join(", ") || NOTHING],
        ["Size", bytes(lora.size)],
        ["SHA-256 of the weights", lora.checksum ? h("span", { class: "code" }, lora.checksum) : null],
        ["At Workers AI", lora.finetune_id ? h("span", { class: "code" }, lora.finetune_id) : null],
        ["Begun", `${time(lora.created_at)}, by ${lora.created_by}`],
        ["Ended", lora.finished_at ? time(lora.finished_at) : null],
      ]),
    ),
    card(
      "Steps",
      h(
        "ol",
        { class: "checklist" },
        lora.steps.map((step) => h("li", {}, badge(step.state, { done: "good", failed: "bad" }[step.state]), h("span", {}, h("strong", {}, STEPS[step.name] ?? step.name), step.at ? h("span", { class: "help" }, ` ${time(step.at)}`) : null, step.message ? h("div", { class: step.state === "failed" ? "fault" : "help" }, step.message) : null))),
      ),
      underWay(lora.state) ? h("p", { class: "loading", role: "status" }, `Under way${lora.tries > 1 ? `, try ${lora.tries}` : ""} …`) : null,
      lora.error ? h("div", { class: "panel", "data-kind": "bad", role: "alert" }, h("strong", {}, `It failed at “${STEPS[lora.error.step]}”.`), h("p", {}, lora.error.message)) : null,
    ),
    may("admin") ? h("div", { class: "row" }, actions(lora, path, follow)) : null,
    lora.preflight.length ? card("Pre-flight", checkList(lora.preflight)) : null,
  ];
}

function actions(lora, path, follow) {
  return [
    lora.state === "failed"
      ? actionButton("Go on from there", async () => {
          await api("POST", `${path}/retry`);
          await follow();
        }, { kind: "main" })
      : null,
    lora.state === "available"
      ? [
          link("Select it under Models", `#/models`, { kind: "main" }),
          link("Evaluate it", `#/evaluations?models=${encodeURIComponent(lora.model_id ?? lora.name)}`, { kind: "" }),
          actionButton("Check it at Workers AI", async () => {
            const found = await api("POST", `${path}/check`);
            notice(found.ok ? `It is there and answers: ${found.probe}` : `It is not well: ${found.drift?.message ?? found.probe}`);
          }),
        ]
      : null,
    lora.state !== "retired" && !lora.active && !underWay(lora.state)
      ? button("Retire", async () => {
          const done = await confirm({ title: `Retire ${lora.name}?`, body: h("p", {}, "It is asked no more. Its record stays; the fine-tune at Workers AI keeps its place until it is deleted there."), action: "Retire", danger: true, act: () => api("DELETE", path) });
          if (done) await follow();
        }, { kind: "danger" })
      : null,
  ];
}
