// Finds an agent by what is typed: for agents that have no key, and where there are many.

import { h, replace } from "../dom.js";
import { notice } from "../parts/notice.js";

const SHOWN = 8;

/** `keyed` are [key, agent]. Enter chooses the agent whose name is typed, or the only one that matches. */
export function agentSearch(keyed, act) {
  const agents = keyed.map(([, agent]) => agent);
  const input = h("input", {
    id: "other-agent",
    type: "search",
    autocomplete: "off",
    placeholder: "Type part of the name, then press Enter",
    oninput: () => show(),
  });
  const message = h("p", { class: "help", role: "status" });
  const list = h("div", { class: "choices" });
  const choose = (agent) => {
    act.label(agent.id);
    notice(`Label saved: ${agent.name}.`);
  };
  const show = () => {
    const found = matching(agents, input.value);
    message.textContent = resultText(input.value.trim(), found);
    replace(
      list,
      found
        .slice(0, SHOWN)
        .map((agent) =>
          h(
            "button",
            { class: "button choice", type: "button", onclick: () => choose(agent) },
            h(
              "span",
              { class: "choice-text" },
              h("span", { class: "wrap" }, agent.name),
              h("span", { class: "choice-description" }, agent.description),
            ),
          ),
        ),
    );
  };
  const submit = (event) => {
    event.preventDefault();
    const found = matching(agents, input.value);
    const exact = found.filter((agent) => isNamed(agent, input.value));
    const [chosen, ...others] = exact.length ? exact : found;
    if (chosen && !others.length) choose(chosen);
    else show();
  };
  return h(
    "form",
    { class: "stack-small", onsubmit: submit },
    h(
      "div",
      { class: "field" },
      h("label", { for: input.id }, "Find an agent ", h("kbd", {}, "/")),
      input,
    ),
    message,
    list,
  );
}

const isNamed = ({ id, name }, typed) => {
  const text = typed.trim().toLowerCase();
  return id === text || name.toLowerCase() === text;
};

/** Those with all typed words in the name or id; if there are none, in the description. */
function matching(agents, typed) {
  const parts = typed.toLowerCase().split(/\s+/).filter(Boolean);
  if (!parts.length) return [];
  const holds = (text) => parts.every((part) => text.toLowerCase().includes(part));
  const named = agents.filter(({ id, name }) => holds(`${name} ${id}`));
  return named.length ? named : agents.filter(({ description }) => holds(description));
}

function resultText(typed, found) {
  if (!typed) return "";
  if (!found.length) return "No agent matches.";
  if (found.length === 1) return "1 agent matches: press Enter.";
  return `${found.length} agents match. Type more, or choose one.`;
}
