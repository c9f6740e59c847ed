// The agents by id, for names and choices on any screen.

import { everything } from "../api.js";

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
