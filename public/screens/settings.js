// Settings: what is in force, where it comes from, and how to change it.

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
/** Models are selected elsewhere. By group: name, label, and what it takes. */
const GROUPS = [
  [
    "Routing",
    [
      [
        "confidence_threshold",
        "Least confidence of an answer",
        {
          type: "number",
          min: 0,
          max: 1,
          step: "any",
          help: "Below it no agent is decided on.",
        },
      ],
      ["on_no_fit", "If no agent is decided on", { type: "select", options: ON_NO_FIT }],
      [
        "time_budget_ms",
        "Time for a decision, in ms",
        {
          type: "number",
          min: 100,
          max: 60000,
          help: "For the active model and all its fallbacks together.",
        },
      ],
      [
        "max_retries",
        "Tries more of one model",
        { type: "number", min: 0, max: 4, help: "Where its error may pass." },
      ],
      [
        "chat_timeout_ms",
        "Time for a chat's answer, in ms",
        { type: "number", min: 100, max: 300000, help: "Of a stream: for its first part." },
      ],
      [
        "cache_ttl_seconds",
        "Answers are kept, in seconds",
        { type: "number", min: 60, max: 2592000 },
      ],
      [
        "cache_scope",
        "Who is given a cached answer",
        {
          type: "select",
          options: [
            ["all", "Every key"],
            ["key", "The key that asked"],
          ],
          help: "A cache hit tells a key that another one has asked the same.",
        },
      ],
    ],
  ],
  [
    "What is stored",
    [
      [
        "log_queries",
        "Keep the queries' texts in the logs",
        { type: "checkbox", help: "Without them nothing can be labelled or searched." },
      ],
      [
        "redact_personal_data",
        "Blank out e-mail addresses, phone and card numbers",
        { type: "checkbox" },
      ],
      ["retention_days", "Logs are kept, in days", { type: "number", min: 1, max: 3650 }],
      [
        "audit_retention_days",
        "The audit log is kept, in days (empty: for ever)",
        { type: "number", min: 30, max: 3650, placeholder: "for ever" },
      ],
    ],
  ],
  [
    "Classifier",
    [
      [
        "classifier_target",
        "Right, of what it answers",
        { type: "number", min: 0.5, max: 0.9999, step: "any", help: "A share: 0.98 is 98 %." },
      ],
      [
        "classifier_min_labels",
        "Labels that an agent needs to be answered",
        { type: "number", min: 1, max: 10000 },
      ],
      [
        "audit_sample_share",
        "Share of its answers to audit",
        {
          type: "number",
          min: 0,
          max: 1,
          step: "any",
          help: "For these, the active model is asked too, and the two answers are compared.",
        },
      ],
      [
        "retrain_after_labels",
        "New labels after which it is trained anew",
        { type: "number", min: 1, max: 1000000, help: "Empty: never by itself." },
      ],
    ],
  ],
  [
    "Promotion",
    [
      [
        "promotion_min_labels",
        "Test labels that the promotion check requires",
        { type: "number", min: 1, max: 1000000 },
      ],
      [
        "promotion_margin",
        "Accuracy that a model may lose",
        { type: "number", min: 0, max: 0.5, step: "any", help: "A share: 0.02 is 2 points." },
      ],
      [
        "promotion_alpha",
        "Error level of the promotion check",
        { type: "number", min: 0, max: 0.5, step: "any" },
      ],
      [
        "promotion_max_cost_ratio",
        "Maximum cost of a challenger, as a multiple of the active model's",
        { type: "number", min: 1, max: 1000, step: "any" },
      ],
      [
        "promotion_max_latency_ratio",
        "Maximum latency of a challenger, as a multiple of the active model's",
        { type: "number", min: 1, max: 1000, step: "any" },
      ],
      ["auto_promote", "Select a challenger automatically if it is better", { type: "checkbox" }],
      ["auto_rollback", "Roll back automatically if it is worse", { type: "checkbox" }],
      [
        "routing_tests_required",
        "Select only what has passed the routing tests",
        { type: "checkbox" },
      ],
    ],
  ],
];

export async function open({ root, signal, may }) {
  const body = h("div", { class: "stack" });
  replace(
    root,
    pageHead("Settings", "What is set here wins over wrangler.toml, from the next request on."),
    body,
  );
  const show = () =>
    load(
      body,
      () => api("GET", "/v1/config", { signal }),
      (config) => [
        ...GROUPS.map(([title, settings]) => group(title, settings, config, may)),
        may("admin") ? caches() : null,
      ],
      { signal },
    );
  await show();
}

function caches() {
  const flush = async () => {
    const flushed = await confirm({
      title: "Forget all cached answers?",
      body: h(
        "p",
        {},
        "Every question is then decided again, and every chat answered again, by the models. Labels and settings stay.",
      ),
      action: "Forget them",
      act: () => api("DELETE", "/v1/cache"),
    });
    if (!flushed) return;
    const { decisions, chats } = flushed;
    notice(`Forgotten: ${count(decisions)} decisions and ${count(chats)} chat answers.`);
  };
  return card(
    "Cached answers",
    h(
      "p",
      {},
      "A change of agents, models or settings takes effect at once; cached answers never hide it. Forget them if what is behind a model has changed.",
    ),
    h("div", { class: "form-actions" }, button("Forget all cached answers", flush)),
  );
}

/** Drawn anew by itself, so that what is typed into other groups stays. */
function group(title, settings, config, may) {
  const redraw = (fresh) => element.replaceWith(group(title, settings, fresh, may));
  const fault = h("div", {});
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
                notice(`“${each.spec.label}” is as it was.`);
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
    replace(fault);
    try {
      const before = settings.map(([name]) => [name, config[name].value]);
      const body = changed(read(fields), Object.fromEntries(before));
      if (!Object.keys(body).length) {
        notice("Nothing was changed.");
        return;
      }
      setBusy(save, true);
      redraw(await api("PATCH", "/v1/config", { body }));
      const emptied = Object.values(body).includes(null);
      notice(`${title}: saved${emptied ? "; what you emptied is as it was" : ""}.`);
    } catch (error) {
      if (error.name === "AbortError") return;
      const wrong = fields.find((each) => each.spec.name === error.param);
      if (wrong) {
        wrong.show(error.message);
        wrong.focus();
      } else replace(fault, errorPanel(error));
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
      fault,
      may("admin") ? h("div", { class: "form-actions" }, save) : null,
    ),
  );
  return element;
}
