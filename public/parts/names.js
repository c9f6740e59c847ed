// Names for views that get ids only: agentLabel() and callerLabel() know what was read here.

import { agentsKnown, readAgents } from "./agents.js";
import { callersKnown, readCallers } from "./callers.js";

/** Reads the agents, and for those who may see them the keys and users, unless they are known. */
export async function readNames({ may, signal }) {
  await Promise.all([
    agentsKnown() ? null : readAgents(signal),
    callersKnown() ? null : readCallers({ may, signal }),
  ]);
}

/** What `reading` brings, once the names are known too. */
export async function withNames(context, reading) {
  const [found] = await Promise.all([reading, readNames(context)]);
  return found;
}
