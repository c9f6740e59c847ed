// Names for views that get ids only: agentLabel() and callerLabel() know what was read here.

import { agentsKnown, readAgents } from "./agents.js";
import { callersKnown, readCallers } from "./callers.js";

/** Reads the agents, and for those who may see them the keys and users, unless they are known. */
export async function readNames(context) {
  await Promise.all([agentsKnown() ? null : readAgents(context.signal), readCallerNames(context)]);
}

/** The same without the agents, for screens that show none or read them themselves. */
export const readCallerNames = async (context) => (callersKnown() ? null : readCallers(context));
