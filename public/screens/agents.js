// Agents: the targets of routing. The router's model reads their descriptions and examples.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { plural } from "../format.js";
import { readAgents } from "../parts/agents.js";
import { badge, button, link, pageHead } from "../parts/controls.js";
import { formDialog } from "../parts/form.js";
import { idText } from "../parts/ids.js";
import { empty, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { address, go } from "../router.js";
import { edit, remove } from "./agents_edit.js";

export const open = (page) => (page.path.length ? showAgent(page, page.path[0]) : list(page));

/** The page of one agent. */
async function showAgent({ root, signal, may, detail }, id) {
  const body = h("div", {});
  const path = `/v1/agents/${encodeURIComponent(id)}`;
  const show = () =>
    load(
      body,
      () => api("GET", path, { signal }),
      (agent) => {
        detail(agent.name, agent.id);
        return agentCard(agent, may, { show, removed: () => go(["agents"]) });
      },
      { signal, keep: true },
    );
  const requests = link("Its requests", address(["logs"], { agent: id }), { size: "small" });
  replace(root, pageHead("Agent", null, requests), body);
  await show();
}

async function list({ root, signal, may }) {
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
    agents.map((agent) => agentCard(agent, may, { show, removed: show })),
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

/** `show` draws the page again after a change, `removed` after the agent was deleted. */
function agentCard(agent, may, { show, removed }) {
  return h(
    "article",
    { class: "card stack-small", "aria-label": agent.name },
    h(
      "div",
      { class: "spread" },
      h("h2", { class: "wrap" }, h("a", { href: address(["agents", agent.id]) }, agent.name)),
      h(
        "div",
        { class: "row" },
        agent.default ? badge("fallback", "accent") : null,
        agent.enabled ? null : badge("disabled", "warn"),
      ),
    ),
    h("p", {}, idText(agent.id)),
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
            : button("Delete", () => remove(agent, removed), {
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
