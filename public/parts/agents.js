// Agents: names, select options and the label field, for all screens.

import { listAll } from "../api.js";
import { field, read } from "./form.js";

export const NO_AGENT = "none";
export const OUT_OF_SCOPE = "None (out of scope)";

const names = new Map(); // of all agents that were read, by id

export async function readAgents(signal) {
  const agents = await listAll("/v1/agents", { signal });
  for (const { id, name } of agents) names.set(id, name);
  return agents;
}

/** The name of an agent, for views that get ids only: the id itself until the agents were read. */
export const agentLabel = (id) =>
  id === null || id === NO_AGENT ? OUT_OF_SCOPE : (names.get(id) ?? id);

/** Whether they were read. */
export const agentsKnown = () => names.size > 0;

/** Options of a select: ids and names, after the options `first`. */
export function agentOptions(agents, ...first) {
  return [...first, ...agents.map((agent) => [agent.id, agent.name])];
}

export const agentName = (agents, id) =>
  id === null || id === NO_AGENT
    ? OUT_OF_SCOPE
    : (agents.find((agent) => agent.id === id)?.name ?? id);

/**
 * The field for a label; the agent `current` is always an option, null means none is selected yet.
 * Read its value with labelOf().
 */
export function labelField(agents, current, name = "label") {
  const named = agents
    .filter((agent) => agent.enabled || agent.id === current)
    .map((agent) => [agent.id, agent.enabled ? agent.name : `${agent.name} (disabled)`]);
  const deleted =
    current !== null && current !== NO_AGENT && !agents.some((agent) => agent.id === current);
  return field({
    name,
    label: "Correct agent",
    type: "select",
    value: current,
    required: true,
    options: [
      ...(current === null ? [[null, "Select …"]] : []),
      [NO_AGENT, OUT_OF_SCOPE],
      ...(deleted ? [[current, `${current} (deleted)`]] : []),
      ...named,
    ],
  });
}

/** The agent's id; null for out of scope. Throws an AbortError if none is selected. */
export function labelOf(choice) {
  const { [choice.spec.name]: value } = read([choice]);
  return value === NO_AGENT ? null : value;
}
