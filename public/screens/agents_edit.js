// Adding, changing and deleting an agent.

import { api } from "../api.js";
import { h } from "../dom.js";
import { plural } from "../format.js";
import { button } from "../parts/controls.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { changed, formDialog, shownLines } from "../parts/form.js";
import { notice } from "../parts/notice.js";
import { AGENT_ADDRESS, ID } from "../parts/patterns.js";

const PROTOCOLS = [
  ["openai", "OpenAI-compatible chat completions"],
  ["a2a", "A2A"],
  ["handoff", "Hand-off: the client calls the endpoint"],
];

/** Asks for the fields of a new agent, or of this one; `show` draws the page again after the change. */
export async function edit(agent, show) {
  const saved = await formDialog({
    title: agent ? `Edit ${agent.name}` : "Add agent",
    fields: [
      ...(agent
        ? []
        : [
            {
              name: "id",
              label: "ID",
              required: true,
              maxlength: 64,
              ...ID,
              help: "Lowercase letters, digits, - and _. It cannot be changed later.",
              placeholder: "it_support",
            },
          ]),
      { name: "name", label: "Name", required: true, maxlength: 100, value: agent?.name },
      {
        name: "description",
        label: "Description",
        type: "textarea",
        rows: 3,
        required: true,
        maxlength: 1000,
        value: agent?.description,
        help: "The routing model reads this.",
      },
      {
        name: "examples",
        label: "Examples, one per line",
        type: "lines",
        rows: 5,
        value: agent?.examples,
        help: "The routing model reads the first five.",
      },
      {
        name: "endpoint",
        label: "Endpoint",
        value: agent?.endpoint,
        ...AGENT_ADDRESS,
        placeholder: "https://…",
        help: "The agent's own service. Without one, the chat model below answers.",
      },
      {
        name: "protocol",
        label: "Endpoint protocol",
        type: "select",
        value: agent?.protocol ?? "openai",
        options: PROTOCOLS,
      },
      {
        name: "model",
        label: "Chat model",
        value: agent?.model,
        help: "Empty: the base of the active model. A decision model writes no text, so it cannot chat.",
      },
      {
        name: "system_prompt",
        label: "System prompt",
        type: "textarea",
        rows: 3,
        maxlength: 8000,
        value: agent?.system_prompt,
      },
      { name: "enabled", label: "Enabled", type: "checkbox", value: agent?.enabled ?? true },
      {
        name: "default",
        label: "Fallback agent: used if no other agent is found",
        type: "checkbox",
        value: agent?.default ?? false,
        disabled: agent?.default,
      },
    ],
    onSubmit: (body, idempotencyKey) =>
      agent
        ? api("PATCH", `/v1/agents/${agent.id}`, { body: changed(body, shownAs(agent)) })
        : create(body, idempotencyKey),
  });
  if (!saved) return;
  notice(`${saved.name} saved.`);
  if (saved.labels?.warning) await confirmLabels(saved);
  await show();
}

/** If labels of a deleted agent have this ID, asks whether to keep them. */
async function create(body, idempotencyKey) {
  try {
    return await api("POST", "/v1/agents", { body, idempotencyKey });
  } catch (error) {
    if (error.code !== "agent_has_labels") throw error;
    const labels = await chooseForLabels(error.message);
    if (!labels) throw error;
    return api("POST", "/v1/agents", { body: { ...body, labels } });
  }
}

function chooseForLabels(message) {
  return new Promise((resolve) => {
    let chosen = null;
    const choose = (labels) => () => {
      chosen = labels;
      dialog.close();
    };
    const dialog = openDialog({
      title: "Labels of a deleted agent",
      body: [
        h("p", {}, message),
        h(
          "div",
          { class: "form-actions" },
          button("Cancel", () => dialog.cancel()),
          button("Set labels aside", choose("set_aside")),
          button("Keep labels", choose("keep"), { kind: "main" }),
        ),
      ],
      onClose: () => resolve(chosen),
    });
  });
}

async function confirmLabels(agent) {
  const { kept } = agent.labels;
  const done = await confirm({
    title: `Are the labels of ${agent.name} still correct?`,
    body: h(
      "p",
      {},
      `This agent has ${plural(kept, "label")}. If its purpose has changed, set them aside: they are no longer used, but their history is kept. Cancel keeps them.`,
    ),
    action: "Set labels aside",
    act: () => api("PATCH", `/v1/agents/${agent.id}`, { body: { labels: "set_aside" } }),
  });
  if (done) notice(`${plural(kept, "label")} set aside.`);
}

/** The agent as the form shows it: an example of several lines becomes several examples. */
const shownAs = (agent) => ({ ...agent, examples: shownLines(agent.examples) });

export async function remove(agent, removed) {
  const done = await confirm({
    title: `Delete ${agent.name}?`,
    body: h(
      "p",
      {},
      "Nothing is routed to this agent any more. Its logs and labels are kept. To turn it off temporarily, disable it instead.",
    ),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", `/v1/agents/${agent.id}`),
  });
  if (!done) return;
  notice(`${agent.name} deleted.`);
  await removed();
}
