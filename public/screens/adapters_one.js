// One adapter: its steps, what the rules say of it, and what can be done with it.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { bytes, count, NOTHING, time, words } from "../format.js";
import { actionButton, badge, button, card, facts, link, pageHead } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { stateBadge, underWay } from "../parts/job.js";
import { load, polling } from "../parts/loading.js";
import { notice } from "../parts/notice.js";

export const STEPS = {
  find: "Find it at Workers AI",
  create: "Create the fine-tune",
  upload_config: "Upload the configuration",
  upload_weights: "Upload the weights",
  probe: "Ask it one question",
  register: "Register it as a model",
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
          { true: "passed", false: "failed", null: "not judged" }[passed],
          { true: "good", false: "bad", null: "warn" }[passed],
        ),
        h(
          "span",
          {},
          h("strong", {}, words(rule)),
          found ? `: ${found}` : "",
          passed === true && !message
            ? null
            : h("span", { class: passed === false ? "fault" : "help" }, ` ${message}`),
        ),
      ),
    ),
  );
}

export async function one({ root, signal, may }, id) {
  const body = h("div", { class: "stack" });
  replace(
    root,
    pageHead("Adapter", null, link("All adapters", "#/adapters", { size: "small" })),
    body,
  );
  let lora = null;
  const show = async () => {
    const shown = await load(
      body,
      () => api("GET", `/v1/loras/${encodeURIComponent(id)}`, { signal }),
      (found) => {
        lora = found;
        return view(found, may, follow);
      },
      { signal, keep: true, steady: true, retry: () => follow() },
    );
    return shown && lora !== null && underWay(lora.state);
  };
  const follow = polling(show, { signal });
  await follow();
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
        [
          "SHA-256 of the weights",
          lora.checksum ? h("span", { class: "code" }, lora.checksum) : null,
        ],
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
                ? h("div", { class: step.state === "failed" ? "fault" : "help" }, step.message)
                : null,
            ),
          ),
        ),
      ),
      underWay(lora.state)
        ? h(
            "p",
            { class: "loading", role: "status" },
            `Under way${lora.tries > 1 ? `, try ${lora.tries}` : ""} …`,
          )
        : null,
      lora.error
        ? h(
            "div",
            { class: "panel", "data-kind": "bad", role: "alert" },
            h("strong", {}, `It failed at “${STEPS[lora.error.step] ?? "Upload"}”.`),
            h("p", {}, lora.error.message),
          )
        : null,
    ),
    may("admin") ? h("div", { class: "row" }, actions(lora, path, follow)) : null,
    lora.preflight.length ? card("Pre-flight", checkList(lora.preflight)) : null,
  ];
}

function actions(lora, path, follow) {
  return [
    lora.state === "failed"
      ? actionButton(
          "Go on from there",
          async () => {
            await api("POST", `${path}/retry`);
            await follow();
          },
          { kind: "main" },
        )
      : null,
    lora.state === "available"
      ? [
          link("Select it under Models", `#/models`, { kind: "main" }),
          link(
            "Evaluate it",
            `#/evaluations?models=${encodeURIComponent(lora.model_id ?? lora.name)}`,
            { kind: "" },
          ),
          actionButton("Check it at Workers AI", async () => {
            const found = await api("POST", `${path}/check`);
            notice(
              found.ok
                ? `It is there and answers: ${found.probe}`
                : `It is not well: ${found.drift?.message ?? found.probe}`,
            );
          }),
        ]
      : null,
    lora.state !== "retired" && !lora.active && !underWay(lora.state)
      ? button(
          "Retire",
          async () => {
            const done = await confirm({
              title: `Retire ${lora.name}?`,
              body: h(
                "p",
                {},
                "It is asked no more. Its record stays; the fine-tune at Workers AI keeps its place until it is deleted there.",
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
