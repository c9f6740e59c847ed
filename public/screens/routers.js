// Routers: several in one installation, each with its own agents and settings.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { agentName, agentOptions, readAgents } from "../parts/agents.js";
import { badge, button, facts, link, pageHead } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { changed, formDialog } from "../parts/form.js";
import { load } from "../parts/loading.js";
import { callable, readModels } from "../parts/models.js";
import { notice } from "../parts/notice.js";
import { ID } from "../parts/patterns.js";
import { DEFAULT_ROUTER, readRouters, routerName } from "../parts/routers.js";
import { GROUPS } from "../parts/settings.js";
import { address } from "../router.js";

const PATH = "/v1/routers";
const INHERITED = "As in the installation";
/** The names and field options of settings, as the screen Settings has them. */
const SETTINGS = GROUPS.flatMap(([, settings]) => settings);
const SWITCHES = SETTINGS.filter(([, , options]) => options.type === "checkbox").map(
  ([name]) => name,
);

export async function open({ root, signal, may }) {
  const body = h("div", {});
  const show = () =>
    load(
      body,
      async () => {
        const [routers, agents, models] = await Promise.all([
          readRouters(signal),
          readAgents(signal),
          readModels(signal),
        ]);
        return { routers, agents, models };
      },
      (known) => {
        replace(head, title(may("admin") ? () => edit(null, known, show) : null));
        return h(
          "div",
          { class: "columns" },
          known.routers.map((router) => routerCard(router, known, may, show)),
        );
      },
      { signal, keep: true },
    );
  const head = h("div", {}, title(null));
  replace(root, head, body);
  await show();
}

const title = (add) =>
  pageHead(
    "Routers",
    "Each routes among its own agents, with its own settings and rules. Requests name one by the model “auto:ID”.",
    add ? button("Add router", add, { kind: "main" }) : null,
  );

function routerCard(router, known, may, show) {
  const name = routerName(router);
  const isDefault = router.id === DEFAULT_ROUTER;
  return h(
    "article",
    { class: "card stack-small", "aria-label": name },
    h(
      "div",
      { class: "spread" },
      h("h2", { class: "wrap" }, name),
      isDefault ? badge("installation", "accent") : null,
    ),
    h("p", { class: "code soft wrap" }, isDefault ? "auto" : `auto:${router.id}`),
    warning(router, known.agents),
    facts([
      ["Agents", agentsOf(router, known.agents)],
      ["Fallback agent", fallbackOf(router, known.agents)],
      ...(isDefault ? [] : ownSettings(router)),
    ]),
    h(
      "div",
      { class: "row" },
      link("Requests", address(["logs"], { router: router.id })),
      isDefault ? link("Settings", "#/settings") : null,
      may("admin") && !isDefault
        ? [
            button("Edit", () => edit(router, known, show), {
              size: "small",
              label: `Edit ${name}`,
            }),
            button("Delete", () => remove(router, show), {
              size: "small",
              kind: "plain",
              label: `Delete ${name}`,
            }),
          ]
        : null,
    ),
  );
}

const agentsOf = (router, agents) =>
  router.agents === null ? "all" : router.agents.map((id) => agentName(agents, id)).join(", ");

function fallbackOf(router, agents) {
  const id = router.default_agent ?? agents.find((agent) => agent.default)?.id ?? null;
  const missing = id === null || (router.agents !== null && !router.agents.includes(id));
  return missing ? "none: nobody answers" : agentName(agents, id);
}

function warning(router, agents) {
  const usable = agents.filter(
    (agent) => agent.enabled && (router.agents === null || router.agents.includes(agent.id)),
  );
  return usable.length
    ? null
    : h("p", {}, badge("no agents", "bad"), " No agent is enabled: requests are refused.");
}

/** The settings that differ from the installation's. */
function ownSettings(router) {
  const labels = new Map(SETTINGS.map(([name, label]) => [name, label]));
  for (const [name, label] of MODEL_LABELS) labels.set(name, label);
  return [...labels]
    .filter(([name]) => name in router && router[name] !== null)
    .map(([name, label]) => [label, shown(router[name])]);
}

const MODEL_LABELS = [
  ["routing_model", "Active model"],
  ["fallback_models", "Fallback models"],
  ["classifier", "Classifier"],
];

const shown = (value) => (Array.isArray(value) ? value.join(", ") || "none" : String(value));

async function edit(router, known, show) {
  const installation = known.routers.find((each) => each.id === DEFAULT_ROUTER);
  const before = router && formValues(router);
  const saved = await formDialog({
    title: router ? `Edit ${routerName(router)}` : "Add router",
    fields: fieldsOf(router, before, installation, known),
    onSubmit(values, idempotencyKey) {
      const body = bodyOf(values);
      return router
        ? api("PATCH", `${PATH}/${router.id}`, { body: changed(body, bodyOf(before)) })
        : api("POST", PATH, { body, idempotencyKey });
    },
  });
  if (!saved) return;
  notice(`${routerName(saved)} saved.`);
  await show();
}

function fieldsOf(router, before, installation, { agents, models }) {
  const gone = (router?.agents ?? []).filter((id) => !agents.some((agent) => agent.id === id));
  const others = callable(models).map((model) => [model.id, model.id]);
  const classifiers = models.filter((model) => model.type === "classifier");
  return [
    ...(router
      ? []
      : [
          {
            name: "id",
            label: "ID",
            required: true,
            maxlength: 64,
            ...ID,
            help: "Requests name the router by it: auto:ID. It cannot be changed later.",
            placeholder: "support",
          },
        ]),
    { name: "name", label: "Name", maxlength: 100, value: router?.name },
    {
      name: "agents",
      label: "Agents",
      type: "checks",
      value: router?.agents ?? [],
      options: [...agentOptions(agents), ...gone.map((id) => [id, `${id} (deleted)`])],
      help: "None checked: all agents.",
    },
    {
      name: "default_agent",
      label: "Fallback agent",
      type: "select",
      value: router?.default_agent,
      options: agentOptions(agents, [null, INHERITED]),
      help: "One of the router's agents. Without one, and if the installation's is not among them, nobody answers.",
    },
    {
      name: "routing_model",
      label: "Active model",
      type: "select",
      value: router?.routing_model,
      options: withCurrent(others, router?.routing_model, [
        null,
        `${INHERITED} (${installation.routing_model})`,
      ]),
    },
    {
      name: "fallback_models",
      label: "Fallback models, one ID per line",
      type: "lines",
      rows: 2,
      value: router?.fallback_models,
      help: "Empty: as in the installation.",
    },
    {
      name: "classifier",
      label: "Classifier",
      type: "select",
      value: router?.classifier,
      options: withCurrent(
        classifiers.map((model) => [
          model.id,
          model.router ? `${model.id} (trained for ${model.router})` : model.id,
        ]),
        router?.classifier,
        [null, INHERITED],
        ["none", "None"],
      ),
    },
    ...SETTINGS.filter(([name]) => name in installation).map(([name, label, options]) =>
      settingField(name, label, options, before?.[name], installation[name]),
    ),
  ];
}

const withCurrent = (options, current, ...first) => {
  const all = [...first, ...options];
  const known = !current || all.some(([id]) => id === current);
  return known ? all : [...all, [current, current]];
};

/** A setting whose empty value is the installation's. */
function settingField(name, label, options, value, inherited) {
  const first = [null, `${INHERITED} (${shown(inherited)})`];
  if (options.type === "checkbox") {
    const choices = [first, ["true", "Yes"], ["false", "No"]];
    return { name, label, type: "select", value, options: choices, help: options.help };
  }
  if (options.type === "select")
    return { ...options, name, label, value, options: [first, ...options.options] };
  return { ...options, name, label, value, placeholder: String(inherited) };
}

/** As the fields have the router's values: a boolean is a text there. */
function formValues(router) {
  const texts = SWITCHES.filter((name) => typeof router[name] === "boolean");
  return { ...router, ...Object.fromEntries(texts.map((name) => [name, String(router[name])])) };
}

function bodyOf(values) {
  const body = { ...values };
  for (const name of SWITCHES)
    if (typeof body[name] === "string") body[name] = body[name] === "true";
  for (const name of ["agents", "fallback_models"]) if (!body[name]?.length) body[name] = null;
  return body;
}

async function remove(router, show) {
  const name = routerName(router);
  const done = await confirm({
    title: `Delete ${name}?`,
    body: h(
      "p",
      {},
      "Its agents stay. A router that API keys, users, teams or rules name cannot be deleted.",
    ),
    action: "Delete",
    danger: true,
    act: () => api("DELETE", `${PATH}/${router.id}`),
  });
  if (!done) return;
  notice(`${name} deleted.`);
  await show();
}
