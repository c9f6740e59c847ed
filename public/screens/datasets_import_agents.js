// The step of an import that says what becomes of the names that no agent has.

import { h, replace } from "../dom.js";
import { count, plural } from "../format.js";
import { agentOptions, NO_AGENT, OUT_OF_SCOPE } from "../parts/agents.js";
import { button } from "../parts/controls.js";
import { field } from "../parts/form.js";
import { ID } from "../parts/patterns.js";

const [CREATE, USE, NONE, SKIP] = ["create", "use", "none", "skip"];
const KEPT_LABELS = "agent_has_labels";

/**
 * The value is what a mapping has of agents: {agents, skip, create}. `unknown` counts the names that no
 * agent has; `onChange` is called at each choice.
 */
export function agentsStep(preview, { agents, mayCreate, onChange }) {
  const known = preview.agents.filter((each) => each.agent_id !== null);
  const unknown = preview.agents
    .filter((each) => each.agent_id === null)
    .map((each) => nameChoice(each, { agents, mayCreate, onChange }));
  const all = (action) =>
    button(
      action === CREATE ? "Create all" : "Skip all",
      () => {
        for (const each of unknown) each.choose(action);
        onChange();
      },
      { size: "small" },
    );
  return {
    unknown: unknown.length,
    element: h(
      "div",
      { class: "stack-small" },
      known.length ? knownNames(known) : null,
      unknown.length
        ? h(
            "section",
            { class: "stack-small", "aria-label": "Names without an agent" },
            h(
              "div",
              { class: "spread" },
              h("h3", {}, unknownTitle(preview, unknown.length)),
              unknown.length > 1
                ? h("div", { class: "row" }, mayCreate ? all(CREATE) : null, all(SKIP))
                : null,
            ),
            unknown.map((each) => each.element),
          )
        : null,
    ),
    value: () => ({
      agents: Object.fromEntries(unknown.flatMap((each) => each.mapped())),
      skip: unknown.filter((each) => each.action() === SKIP).map((each) => each.name),
      create: unknown.filter((each) => each.action() === CREATE).map((each) => each.created()),
    }),
    validate() {
      const wrong = unknown.filter((each) => !each.validate());
      wrong[0]?.focus();
      return wrong.length === 0;
    },
    /** Shows an error of the API at the agent that it names; false if it names none. */
    show(error) {
      const [, place, param] = error.param?.match(/^create\[(\d+)\]\.(\w+)/) ?? [];
      const creating = unknown.filter((each) => each.action() === CREATE);
      if (place === undefined || !creating[place]) return false;
      creating[place].show(param, error);
      return true;
    },
  };
}

function unknownTitle({ agents, agent_names: all }, unknown) {
  const words = plural(unknown, "name is no agent", "names are no agents");
  return all > agents.length
    ? `${words}, of the ${agents.length} most frequent of ${count(all)} names. Check the column of the agent.`
    : words;
}

const knownNames = (known) =>
  h(
    "details",
    {},
    h("summary", {}, plural(known.length, "name is an agent", "names are agents")),
    h(
      "ul",
      { class: "samples" },
      known.map(({ name, agent_id: id, rows }) =>
        h("li", {}, `${name === id ? id : `${name} → ${id}`}: ${plural(rows, "line")}`),
      ),
    ),
  );

/** One name: what becomes of its lines. */
function nameChoice(found, { agents, mayCreate, onChange }) {
  const { name, rows, samples, similar, suggested } = found;
  const shown = name || "(empty)";
  const options = [
    ...(mayCreate && suggested ? [[CREATE, "Create an agent"]] : []),
    [USE, "Use an agent"],
    [NONE, OUT_OF_SCOPE],
    [SKIP, rows === 1 ? "Skip this line" : "Skip these lines"],
  ];
  const details = h("div", { class: "stack-small" });
  const select = h(
    "select",
    { "aria-label": `Lines of ${shown}` },
    options.map(([value, label]) => h("option", { value }, label)),
  );
  let fields = [];
  let keep = null; // labels of a deleted agent with this id

  function choose(action) {
    if (!options.some(([value]) => value === action)) return;
    select.value = action;
    keep = null;
    if (action === CREATE) fields = newAgentFields(suggested);
    // Built when it is needed: 250 names with 250 agents each are too many elements.
    else if (action === USE) fields = [agentField(agents, similar)];
    else fields = [];
    replace(
      details,
      fields.map((each) => each.element),
    );
  }

  const first =
    similar === NO_AGENT ? NONE : similar ? USE : mayCreate && suggested ? CREATE : SKIP;
  choose(first);
  const element = h(
    "div",
    { class: "file-agent", role: "group", "aria-label": shown },
    h(
      "div",
      { class: "stack-small" },
      h("p", {}, h("strong", { class: "wrap" }, shown), ` ${plural(rows, "line")}`),
      h(
        "ul",
        { class: "samples" },
        samples.map((text) => h("li", {}, text)),
      ),
    ),
    h("div", { class: "stack-small" }, select, details),
  );
  element.addEventListener("input", (event) => {
    if (event.target === select) choose(select.value);
    onChange();
  });
  const action = () => select.value;
  const values = () => Object.fromEntries(fields.map((each) => [each.spec.name, each.value()]));
  return {
    name,
    element,
    action,
    choose,
    created: () => ({ ...values(), ...(keep ? { labels: keep } : {}) }),
    mapped() {
      if (action() === NONE) return [[name, NO_AGENT]];
      if (action() === SKIP) return [];
      return [[name, values()[action() === CREATE ? "id" : "agent"]]];
    },
    validate() {
      for (const each of fields) each.show(each.validate());
      return fields.every((each) => each.validate() === null);
    },
    focus: () => fields.find((each) => each.validate() !== null)?.focus(),
    show(param, error) {
      const wrong = fields.find((each) => each.spec.name === param) ?? fields[0];
      wrong.show(error.message.replace(/^create\[\d+\]\.\w+: /, ""));
      wrong.focus();
      if (error.code !== KEPT_LABELS) return;
      const accept = button(
        "Keep these labels",
        () => {
          keep = "keep";
          wrong.show(null);
          accept.remove();
          wrong.focus();
          onChange();
        },
        { size: "small" },
      );
      details.append(accept);
    },
  };
}

const newAgentFields = ({ id, name, description }) =>
  [
    { name: "id", label: "ID", value: id, maxlength: 64, ...ID },
    { name: "name", label: "Name", value: name, maxlength: 100 },
    {
      name: "description",
      label: "Description",
      type: "textarea",
      rows: 2,
      value: description,
      maxlength: 1000,
      help: "The routing model reads this.",
    },
  ].map((spec) => field({ ...spec, required: true }));

const agentField = (agents, similar) =>
  field({
    name: "agent",
    label: "Agent",
    type: "select",
    value: similar === NO_AGENT ? null : similar,
    required: true,
    options: agentOptions(agents, [null, "Select …"]),
  });
