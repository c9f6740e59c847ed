// The agents by id, for names and choices on any screen.

import { everything } from "../api.js";
import { field, read } from "./form.js";

export const NO_AGENT = "none";

export const readAgents = (signal) => everything("/v1/agents", { signal });

/** The choices of a select: ids and names, with `first` before them. */
export function agentOptions(agents, ...first) {
  return [...first, ...agents.map((agent) => [agent.id, agent.name])];
}

export const agentName = (agents, id) =>
  id === null || id === NO_AGENT
    ? "No agent fits"
    : (agents.find((agent) => agent.id === id)?.name ?? id);

/**
 * The field in which a label is chosen, with the agent `now` in any case; null: none is chosen yet.
 * Its value is read by labelOf().
 */
export function labelField(agents, now, name = "label") {
  const named = agents
    .filter((agent) => agent.enabled || agent.id === now)
    .map((agent) => [agent.id, agent.enabled ? agent.name : `${agent.name} (disabled)`]);
  const gone = now !== null && now !== NO_AGENT && !agents.some((agent) => agent.id === now);
  return field({
    name,
    label: "The right agent",
    type: "select",
    value: now,
    required: true,
    options: [
      ...(now === null ? [[null, "Choose …"]] : []),
      [NO_AGENT, "No agent fits"],
      ...(gone ? [[now, `${now} (deleted)`]] : []),
      ...named,
    ],
  });
}

/** The agent's id; null where no agent fits. Throws an AbortError where none is chosen. */
export function labelOf(choice) {
  const { [choice.spec.name]: value } = read([choice]);
  return value === NO_AGENT ? null : value;
}
