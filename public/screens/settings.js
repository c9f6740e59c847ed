// Settings: current values, their source, and forms to change them.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { count } from "../format.js";
import { setBusy } from "../parts/busy.js";
import { actionButton, badge, button, card, pageHead } from "../parts/controls.js";
import { ON_NO_FIT } from "../parts/decision.js";
import { confirm } from "../parts/dialog.js";
import { changed, field, read } from "../parts/form.js";
import { errorPanel, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";

const SOURCES = {
  stored: ["set here", "accent"],
  var: ["wrangler.toml", undefined],
  default: ["default", undefined],
};
/** Groups of settings: name, label, field options. Models are selected on the Models screen. */
const GROUPS = [
  [
    "Routing",
    [
      [
        "confidence_threshold",
        "Confidence threshold",
        {
          type: "number",
          min: 0,
          max: 1,
          step: "any",
          help: "Below it, no agent is selected.",
        },
      ],
      ["on_no_fit", "If no agent is found", { type: "select", options: ON_NO_FIT }],
      [
        "time_budget_ms",
        "Routing timeout (ms)",
        {
          type: "number",
          min: 100,
          max: 60000,
          help: "For the active model and its fallback models together.",
        },
      ],
      [
        "max_retries",
        "Retries per model",
        { type: "number", min: 0, max: 4, help: "Only after temporary errors." },
      ],
      [
        "chat_timeout_ms",
        "Chat timeout (ms)",
        { type: "number", min: 100, max: 300000, help: "For streams: until the first part." },
      ],
      ["cache_ttl_seconds", "Cache TTL (s)", { type: "number", min: 60, max: 2592000 }],
      [
        "cache_scope",
        "Cache scope",
        {
          type: "select",
          options: [
            ["all", "Shared by all keys"],
            ["key", "Separate for each key"],
          ],
          help: "A shared cache can reveal that another key sent the same query.",
        },
      ],
    ],
  ],
  [
    "Privacy & retention",
    [
      [
        "log_queries",
        "Store query texts in the logs",
        { type: "checkbox", help: "Required for labeling and search." },
      ],
      [
        "redact_personal_data",
        "Redact PII",
        { type: "checkbox", help: "Email addresses, phone numbers and card numbers." },
      ],
      ["retention_days", "Log retention (days)", { type: "number", min: 1, max: 3650 }],
      [
        "audit_retention_days",
        "Audit log retention (days)",
        { type: "number", min: 30, max: 3650, placeholder: "unlimited", help: "Empty: unlimited." },
      ],
    ],
  ],
  [
    "Classifier",
    [
      [
        "classifier_target",
        "Target precision",
        {
          type: "number",
          min: 0.5,
          max: 0.9999,
          step: "any",
          help: "0.98 means that 98 % of its decisions are correct.",
        },
      ],
      ["classifier_min_labels", "Min labels per agent", { type: "number", min: 1, max: 10000 }],
      [
        "audit_sample_share",
        "Audit sample rate",
        {
          type: "number",
          min: 0,
          max: 1,
          step: "any",
          help: "Share of the classifier's decisions that are compared with the active model's.",
        },
      ],
      [
        "retrain_after_labels",
        "Auto-retrain after N labels",
        { type: "number", min: 1, max: 1000000, help: "Empty: off." },
      ],
    ],
  ],
  [
    "Promotion",
    [
      ["promotion_min_labels", "Min test labels", { type: "number", min: 1, max: 1000000 }],
      [
        "promotion_margin",
        "Non-inferiority margin",
        {
          type: "number",
          min: 0,
          max: 0.5,
          step: "any",
          help: "Accuracy that a new model may lose: 0.02 is 2 percentage points.",
        },
      ],
      [
        "promotion_alpha",
        "Significance level (alpha)",
        { type: "number", min: 0, max: 0.5, step: "any" },
      ],
      [
        "promotion_max_cost_ratio",
        "Max cost ratio, challenger to active model",
        { type: "number", min: 1, max: 1000, step: "any" },
      ],
      [
        "promotion_max_latency_ratio",
        "Max latency ratio, challenger to active model",
        { type: "number", min: 1, max: 1000, step: "any" },
      ],
      ["auto_promote", "Auto-promote", { type: "checkbox", help: "Select a better challenger." }],
      [
        "auto_rollback",
        "Auto-rollback",
        { type: "checkbox", help: "Undo an automatic promotion if the model turns out worse." },
      ],
      [
        "routing_tests_required",
        "Require passing routing tests",
        { type: "checkbox", help: "Before a model or classifier is selected." },
      ],
    ],
  ],
];

export async function open({ root, signal, may }) {
  const body = h("div", { class: "stack" });
  replace(
    root,
    pageHead("Settings", "Values set here override wrangler.toml and apply to the next request."),
    body,
  );
  const show = () =>
    load(
      body,
      () => api("GET", "/v1/config", { signal }),
      (config) => [
        ...GROUPS.map(([title, settings]) => group(title, settings, config, may)),
        may("admin") ? cacheCard() : null,
      ],
      { signal },
    );
  await show();
}

function cacheCard() {
  const purge = async () => {
    const purged = await confirm({
      title: "Purge the cache?",
      body: h(
        "p",
        {},
        "All cached decisions and chat answers are deleted. Labels and settings are kept.",
      ),
      action: "Purge",
      act: () => api("DELETE", "/v1/cache"),
    });
    if (!purged) return;
    const { decisions, chats } = purged;
    notice(`Purged: ${count(decisions)} decisions and ${count(chats)} chat answers.`);
  };
  return card(
    "Cache",
    h(
      "p",
      {},
      "Changes of agents, models and settings bypass old cache entries automatically. Purge the cache if a model itself has changed.",
    ),
    h("div", { class: "form-actions" }, button("Purge cache", purge)),
  );
}

/** A group redraws only itself, so that unsaved input in other groups is kept. */
function group(title, settings, config, may) {
  const redraw = (fresh) => element.replaceWith(group(title, settings, fresh, may));
  const errorBox = h("div", {});
  const fields = settings.map(([name, label, spec]) =>
    field({ ...spec, name, label, value: config[name].value, disabled: !may("admin") }),
  );
  const rows = fields.map((each) => {
    const { source } = config[each.spec.name];
    const [text, kind] = SOURCES[source];
    return h(
      "div",
      { class: "setting" },
      each.element,
      h(
        "div",
        { class: "row" },
        badge(text, kind),
        source === "stored" && may("admin")
          ? actionButton(
              "Reset",
              async () => {
                const body = { [each.spec.name]: null };
                redraw(await api("PATCH", "/v1/config", { body }));
                notice(`“${each.spec.label}” reset.`);
              },
              { size: "small", kind: "plain", label: `Reset ${each.spec.label}` },
            )
          : null,
      ),
    );
  });
  const save = h("button", { class: "button", "data-kind": "main" }, "Save");
  const submit = async (event) => {
    event.preventDefault();
    replace(errorBox);
    try {
      const before = settings.map(([name]) => [name, config[name].value]);
      const body = changed(read(fields), Object.fromEntries(before));
      if (!Object.keys(body).length) {
        notice("No changes.");
        return;
      }
      setBusy(save, true);
      redraw(await api("PATCH", "/v1/config", { body }));
      const reset = Object.values(body).includes(null);
      notice(`${title}: saved.${reset ? " Empty fields were reset." : ""}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      const invalid = fields.find((each) => each.spec.name === error.param);
      if (invalid) {
        invalid.show(error.message);
        invalid.focus();
      } else replace(errorBox, errorPanel(error));
    } finally {
      setBusy(save, false);
    }
  };
  const element = card(
    title,
    h(
      "form",
      { class: "form", novalidate: true, onsubmit: submit },
      rows,
      errorBox,
      may("admin") ? h("div", { class: "form-actions" }, save) : null,
    ),
  );
  return element;
}
