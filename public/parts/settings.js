// The settings that the control plane shows, by groups.

import { ON_NO_FIT } from "./decision.js";

/** Groups of settings: name, label, field options. Models are selected on the Models screen. */
export const GROUPS = [
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
      [
        "route_background_prompts",
        "Route background prompts",
        {
          type: "checkbox",
          help: "Prompts that chat interfaces send for titles, tags and suggestions. Off: the default chat model answers them, and they are no questions of users.",
        },
      ],
      [
        "session_idle_minutes",
        "Session timeout (minutes)",
        {
          type: "number",
          min: 0,
          max: 10080,
          help: "A session is forgotten after so long without a request. 0: sessions are not remembered.",
        },
      ],
    ],
  ],
  [
    "Outcomes",
    [
      [
        "clarify",
        "Ask if agents are close",
        {
          type: "checkbox",
          help: "In a chat the question is the answer. Try the thresholds in the playground.",
        },
      ],
      [
        "clarify_margin",
        "Margin between close agents",
        {
          type: "number",
          min: 0,
          max: 1,
          step: "any",
          help: "An agent is close if its probability is at most this far below the best one.",
        },
      ],
      [
        "clarify_min_probability",
        "Min probability of an agent to ask about",
        { type: "number", min: 0, max: 1, step: "any" },
      ],
      [
        "clarify_threshold",
        "Threshold for “a question is needed”",
        { type: "number", min: 0, max: 1, step: "any", help: "Decision models state it." },
      ],
      [
        "clarify_text",
        "Clarifying question",
        { type: "text", maxlength: 200, help: "The names of the agents follow, numbered." },
      ],
      [
        "several",
        "Allow several agents",
        { type: "checkbox", help: "For messages with requests for more than one agent." },
      ],
      [
        "several_threshold",
        "Threshold for “several agents are needed”",
        { type: "number", min: 0, max: 1, step: "any", help: "Decision models state it." },
      ],
      [
        "several_min_probability",
        "Min probability of each of several agents",
        { type: "number", min: 0, max: 1, step: "any" },
      ],
      [
        "several_answers",
        "Chats for several agents",
        {
          type: "select",
          options: [
            ["first", "The first agent answers"],
            ["all", "All answer, one after another"],
          ],
        },
      ],
      [
        "several_text",
        "Sentence after the first agent's answer",
        { type: "text", maxlength: 200, help: "{agent} and {others} become the agents' names." },
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
      [
        "implicit_signals",
        "Record implicit signals",
        {
          type: "checkbox",
          help: "The same question in other words, the wish for a human, thanks. For requests with a session or a user.",
        },
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
        "learning",
        "Learning",
        {
          type: "select",
          options: [
            ["off", "Off"],
            ["observe", "Observe: train, and count what it would have answered"],
            ["on", "On: enable what passes"],
          ],
        },
      ],
      [
        "model_shortlist",
        "Agents offered to models",
        {
          type: "select",
          options: [
            ["auto", "Auto: with more than 30, the classifier's best 20 to 30"],
            ["off", "All"],
          ],
        },
      ],
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
        "machine_label_confidence",
        "Confidence of machine labels",
        {
          type: "number",
          min: 0,
          max: 1,
          step: "any",
          help: "Trainings also learn from decisions of models with this confidence.",
        },
      ],
      [
        "machine_labels_per_agent",
        "Machine labels per agent",
        { type: "number", min: 0, max: 10000, help: "The newest ones are used. 0: none." },
      ],
      [
        "embedding_model",
        "Embedding model",
        {
          placeholder: "off",
          help: "Asked if the classifier is not sure, after the next training. Queries are sent to it. Empty: off.",
        },
      ],
      [
        "follow_up_decisions",
        "Turns to learn follow-ups from",
        {
          type: "number",
          min: 0,
          max: 10000,
          help: "Labels in conversations, filled up with the newest machine labels. 0: labels alone.",
        },
      ],
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
