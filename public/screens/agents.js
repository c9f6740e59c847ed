// Agents: who can answer. Their descriptions and examples are what the router reads.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { plural } from "../format.js";
import { readAgents } from "../parts/agents.js";
import { badge, button, pageHead } from "../parts/controls.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { changed, formDialog, shownLines } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { ADDRESS, ID } from "../parts/patterns.js";

const PROTOCOLS = [
  ["openai", "OpenAI-compatible chat completions"],
  ["a2a", "A2A"],
  ["handoff", "Hand-off: the client goes on there"],
];

export async function open({ root, signal, may }) {
  const body = h("div", {});
  const show = () =>
    load(
      body,
      () => readAgents(signal),
      (agents) => view(agents, may, show),
      { signal, keep: true },
    );
  replace(
    root,
    pageHead(
      "Agents",
      "The better the descriptions and examples, the better the routing.",
      may("admin") ? button("Add an agent", () => edit(null, show), { kind: "main" }) : null,
    ),
    body,
  );
  await show();
}

function view(agents, may, show) {
  if (!agents.length)
    return empty(
      "There is no agent yet",
      "Describe who can answer: a name, what it is for, and some questions that it gets.",
      may("admin") ? button("Add an agent", () => edit(null, show), { kind: "main" }) : null,
    );
  return h(
    "div",
    { class: "columns" },
    agents.map((agent) => agentCard(agent, may, show)),
  );
}

function agentCard(agent, may, show) {
  return h(
    "article",
    { class: "card stack-small", "aria-label": agent.name },
    h(
      "div",
      { class: "spread" },
      h("h2", { class: "wrap" }, agent.name),
      h(
        "div",
        { class: "row" },
        agent.default ? badge("default", "accent") : null,
        agent.enabled ? null : badge("disabled", "warn"),
      ),
    ),
    h("p", { class: "code soft wrap" }, agent.id),
    h("p", { class: "wrap" }, agent.description),
    agent.examples.length
      ? h(
          "details",
          {},
          h("summary", { class: "small" }, plural(agent.examples.length, "example")),
          h(
            "ul",
            { class: "examples" },
            agent.examples.map((example) => h("li", { class: "wrap" }, example)),
          ),
        )
      : h("p", { class: "help" }, "No examples yet: some would help."),
    agent.endpoint
      ? h("p", { class: "help wrap" }, `${agent.protocol} at ${agent.endpoint}`)
      : null,
    agent.model ? h("p", { class: "help wrap" }, `answers with ${agent.model}`) : null,
    may("admin")
      ? h(
          "div",
          { class: "row" },
          button("Edit", () => edit(agent, show), { size: "small", label: `Edit ${agent.name}` }),
          agent.default
            ? null
            : button("Delete", () => remove(agent, show), {
                size: "small",
                kind: "plain",
                label: `Delete ${agent.name}`,
              }),
        )
      : null,
  );
}

async function edit(agent, show) {
  const saved = await formDialog({
    title: agent ? `Edit ${agent.name}` : "Add an agent",
    fields: [
      ...(agent
        ? []
        : [
            {
              name: "id",
              label: "Id",
              required: true,
              maxlength: 64,
              ...ID,
              help: "Small letters, digits, - and _; it cannot be changed later.",
              placeholder: "it_support",
            },
          ]),
      { name: "name", label: "Name", required: true, maxlength: 100, value: agent?.name },
      {
        name: "description",
        label: "What it is for",
        type: "textarea",
        rows: 3,
        required: true,
        maxlength: 1000,
        value: agent?.description,
        help: "The router's model reads this.",
      },
      {
        name: "examples",
        label: "Examples, one a line",
        type: "lines",
        rows: 5,
        value: agent?.examples,
        help: "The model reads the first five.",
      },
      {
        name: "endpoint",
        label: "Endpoint",
        value: agent?.endpoint,
        ...ADDRESS,
        placeholder: "https://…",
        help: "Where it answers itself. Without one, its model here answers chats.",
      },
      {
        name: "protocol",
        label: "Protocol of the endpoint",
        type: "select",
        value: agent?.protocol ?? "openai",
        options: PROTOCOLS,
      },
      {
        name: "model",
        label: "Model for chats",
        value: agent?.model,
        help: "Empty: the active model's base.",
      },
      {
        name: "system_prompt",
        label: "System prompt for chats",
        type: "textarea",
        rows: 3,
        maxlength: 8000,
        value: agent?.system_prompt,
      },
      { name: "enabled", label: "Enabled", type: "checkbox", value: agent?.enabled ?? true },
      {
        name: "default",
        label: "Default: it stands in where no other one can be chosen",
        type: "checkbox",
        value: agent?.default ?? false,
        disabled: agent?.default,
      },
    ],
    onSubmit: (body, once) =>
      agent
        ? api("PATCH", `/v1/agents/${agent.id}`, { body: changed(body, shownAs(agent)) })
        : create(body, once),
  });
  if (!saved) return;
  notice(`${saved.name} is saved.`);
  if (saved.labels?.warning) await askOfLabels(saved);
  await show();
}

/** Where labels of a former agent name the id, the form asks what becomes of them. */
async function create(body, once) {
  try {
    return await api("POST", "/v1/agents", { body, once });
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
      title: "Labels of a former agent",
      body: [
        h("p", {}, message),
        h(
          "div",
          { class: "form-actions" },
          button("Cancel", () => dialog.cancel()),
          button("Set them aside", choose("set_aside")),
          button("Keep them", choose("keep"), { kind: "main" }),
        ),
      ],
      onClose: () => resolve(chosen),
    });
  });
}

async function askOfLabels(agent) {
  const { kept } = agent.labels;
  const done = await confirm({
    title: `Do the labels of ${agent.name} still hold?`,
    body: h(
      "p",
      {},
      `${plural(kept, "label")} name it. If it means something else now, set them aside: they no longer decide or train, and their history stays. Cancel keeps them.`,
    ),
    action: "Set them aside",
    act: () => api("PATCH", `/v1/agents/${agent.id}`, { body: { labels: "set_aside" } }),
  });
  if (done) notice(`${plural(kept, "label")} set aside.`);
}

/** As the form has it: an example of several lines is several there. */
const shownAs = (agent) => ({ ...agent, examples: shownLines(agent.examples) });

async function remove(agent, show) {
  const done = await confirm({
    title: `Delete ${agent.name}?`,
    body: h(
      "p",
      {},
      "Nothing is routed to it any more. Its logs and labels stay; whoever creates an agent with this id again is asked what becomes of the labels. To take it away for a while only, disable it.",
    ),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", `/v1/agents/${agent.id}`),
  });
  if (!done) return;
  notice(`${agent.name} is deleted.`);
  await show();
}
