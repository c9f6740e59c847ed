// One adapter: upload steps, validation results and actions.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { bytes, count, NOTHING, time, words } from "../format.js";
import { callerLabel } from "../parts/callers.js";
import { actionButton, badge, button, card, facts, link, pageHead } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { idText } from "../parts/ids.js";
import { followJob, isActive, stateBadge } from "../parts/job.js";
import { readCallerNames } from "../parts/names.js";
import { notice } from "../parts/notice.js";
import { inPageWords } from "../parts/page_words.js";

export const STEPS = {
  find: "Look up at Workers AI",
  create: "Create the fine-tune",
  upload_config: "Upload the configuration",
  upload_weights: "Upload the weights",
  probe: "Send a test query",
  register: "Register as a model",
};

export function checkList(checks) {
  return h(
    "ul",
    { class: "checklist" },
    checks.map(({ rule, passed, found, message }) =>
      h(
        "li",
        {},
        badge(
          { true: "passed", false: "failed", null: "skipped" }[passed],
          { true: "good", false: "bad", null: "warn" }[passed],
        ),
        h(
          "span",
          {},
          h("strong", {}, words(rule)),
          found ? `: ${found}` : "",
          passed === true && !message
            ? null
            : h("span", { class: passed === false ? "error" : "help" }, ` ${message}`),
        ),
      ),
    ),
  );
}

export async function showAdapter({ root, signal, may }, id) {
  const body = h("div", { class: "stack" });
  replace(root, pageHead("Adapter"), body);
  const path = `/v1/loras/${encodeURIComponent(id)}`;
  await readCallerNames({ may, signal });
  await followJob(body, path, (lora, follow) => view(lora, may, path, follow), { signal });
}

function view(lora, may, path, follow) {
  return [
    card(
      lora.name,
      facts([
        ["State", [stateBadge(lora.state), lora.active ? [" ", badge("active", "good")] : null]],
        ["Base model", lora.base_model],
        ["Rank", count(lora.rank)],
        ["Target modules", lora.target_modules.join(", ") || NOTHING],
        ["Size", bytes(lora.size)],
        ["SHA-256 (weights)", lora.checksum ? idText(lora.checksum) : null],
        ["Fine-tune ID", lora.finetune_id ? idText(lora.finetune_id) : null],
        ["Started", `${time(lora.created_at)}, by ${callerLabel(lora.created_by)}`],
        ["Ended", lora.finished_at ? time(lora.finished_at) : null],
      ]),
    ),
    card(
      "Steps",
      h(
        "ol",
        { class: "checklist" },
        lora.steps.map((step) =>
          h(
            "li",
            {},
            badge(step.state, { done: "good", failed: "bad" }[step.state]),
            h(
              "span",
              {},
              h("strong", {}, STEPS[step.name] ?? step.name),
              step.at ? h("span", { class: "help" }, ` ${time(step.at)}`) : null,
              step.message
                ? h(
                    "div",
                    { class: step.state === "failed" ? "error" : "help" },
                    inPageWords(step.message),
                  )
                : null,
            ),
          ),
        ),
      ),
      isActive(lora.state)
        ? h(
            "p",
            { class: "loading", role: "status" },
            `Running${lora.tries > 1 ? `, attempt ${lora.tries}` : ""} …`,
          )
        : null,
      lora.error
        ? h(
            "div",
            { class: "panel", "data-kind": "bad", role: "alert" },
            h("strong", {}, `Failed at “${STEPS[lora.error.step] ?? "Upload"}”.`),
            h("p", {}, inPageWords(lora.error.message)),
          )
        : null,
    ),
    may("admin") ? h("div", { class: "row" }, actions(lora, path, follow)) : null,
    lora.preflight.length ? card("Validation", checkList(lora.preflight)) : null,
  ];
}

function actions(lora, path, follow) {
  return [
    lora.state === "failed"
      ? actionButton(
          "Retry",
          async () => {
            await api("POST", `${path}/retry`);
            await follow();
          },
          { kind: "main" },
        )
      : null,
    lora.state === "available"
      ? [
          link("Go to Models", `#/models`, { kind: "main" }),
          link(
            "Evaluate",
            `#/evaluations?models=${encodeURIComponent(lora.model_id ?? lora.name)}`,
            { kind: "" },
          ),
          actionButton("Check at Workers AI", async () => {
            const found = await api("POST", `${path}/check`);
            notice(
              found.ok
                ? `Available: ${found.probe}`
                : `Problem found: ${inPageWords(found.drift?.message) ?? found.probe}`,
            );
          }),
        ]
      : null,
    lora.state !== "retired" && !lora.active && !isActive(lora.state)
      ? button(
          "Retire",
          async () => {
            const done = await confirm({
              title: `Retire ${lora.name}?`,
              body: h(
                "p",
                {},
                "The adapter is no longer called. Its record is kept. To free its slot, delete the fine-tune at Workers AI.",
              ),
              action: "Retire",
              danger: true,
              act: () => api("DELETE", path),
            });
            if (done) await follow();
          },
          { kind: "danger" },
        )
      : null,
  ];
}
