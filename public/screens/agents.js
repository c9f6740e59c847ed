// Agents: the targets of routing. The router's model reads their descriptions and examples.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { plural } from "../format.js";
import { readAgents } from "../parts/agents.js";
import { badge, button, pageHead } from "../parts/controls.js";
import { confirm, openDialog } from "../parts/dialog.js";
import { changed, formDialog, shownLines } from "../parts/form.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { AGENT_ADDRESS, ID } from "../parts/patterns.js";

const PROTOCOLS = [
  ["openai", "OpenAI-compatible chat completions"],
  ["a2a", "A2A"],
  ["handoff", "Hand-off: the client calls the endpoint"],
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
      "Clear descriptions and examples make routing more accurate.",
      may("admin") ? button("Add agent", () => edit(null, show), { kind: "main" }) : null,
    ),
    body,
  );
  await show();
}

function view(agents, may, show) {
  if (!agents.length)
    return empty(
      "No agents yet",
      "An agent has a name, a description, and some example queries.",
      may("admin") ? button("Add agent", () => edit(null, show), { kind: "main" }) : null,
    );
  const cards = h(
    "div",
    { class: "columns" },
    agents.map((agent) => agentCard(agent, may, show)),
  );
  const demonstration = agents.filter((agent) => agent.demonstration);
  if (!demonstration.length || !may("admin")) return cards;
  return h(
    "div",
    { class: "stack" },
    h(
      "div",
      { class: "card row" },
      h(
        "p",
        {},
        `${plural(demonstration.length, "demonstration agent")} came with this installation.`,
      ),
      button("Remove demonstration agents", () => removeDemonstration(agents, show), {
        size: "small",
      }),
    ),
    cards,
  );
}

async function removeDemonstration(agents, show) {
  const left = agents.filter((agent) => !agent.demonstration && agent.enabled);
  const replaced = agents.some((agent) => agent.demonstration && agent.default);
  const names = agents.filter((agent) => agent.demonstration).map((agent) => agent.name);
  const fields =
    replaced && left.length > 1
      ? [
          {
            name: "default",
            label: "New fallback agent",
            type: "select",
            value: left[0].id,
            options: left.map((agent) => [agent.id, agent.name]),
          },
        ]
      : [];
  const done = await formDialog({
    title: "Remove demonstration agents",
    before: h("p", {}, `This deletes ${names.join(", ")}. Their logs and labels are kept.`),
    fields,
    action: "Remove",
    onSubmit: ({ default: chosen }) => {
      const query = chosen ? `&default=${encodeURIComponent(chosen)}` : "";
      return api("DELETE", `/v1/agents?demonstration=true${query}`);
    },
  });
  if (!done) return;
  notice(`${plural(done.deleted.length, "agent")} deleted.`);
  await show();
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
        agent.default ? badge("fallback", "accent") : null,
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
      : h("p", { class: "help" }, "No examples yet. Add some."),
    agent.endpoint ? h("p", { class: "help wrap" }, `${agent.protocol}: ${agent.endpoint}`) : null,
    agent.auth ? h("p", { class: "help wrap" }, `signs in with ${signsIn(agent.auth)}`) : null,
    agent.missing_secrets
      ? h(
          "p",
          { class: "wrap" },
          badge("secret missing", "warn"),
          ` ${agent.missing_secrets.join(", ")}`,
        )
      : null,
    agent.model ? h("p", { class: "help wrap" }, `chat model: ${agent.model}`) : null,
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

/** What is sent to an agent's endpoint: the names of secrets. */
function signsIn({ bearer, api_key: apiKey, access, identity }) {
  return [
    bearer,
    apiKey && `${apiKey.header}: ${apiKey.secret}`,
    access && `Access: ${access.client_id}, ${access.client_secret}`,
    identity && "who asks",
  ]
    .filter(Boolean)
    .join(", ");
}

async function edit(agent, show) {
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

async function remove(agent, show) {
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
  await show();
}
