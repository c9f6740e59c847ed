// Requests that were refused before they were routed: the names of the reasons.

import { count, words } from "../format.js";

const REASONS = {
  key_rate_limited: "rate limit of the key",
  edge_rate_limited: "rate limit of the installation",
  key_token_budget_exceeded: "token budget used up",
  key_budget_exceeded: "USD budget used up",
  missing_scope: "scope missing",
  agent_not_allowed: "agent not allowed",
  model_not_allowed: "model not allowed",
  router_not_allowed: "router not allowed",
  invalid_api_key: "unknown key",
  key_expired: "key expired",
  key_revoked: "key revoked",
};

/** All reasons that have a name of their own, in a fixed order, so that each keeps its color. */
export const REFUSAL_REASONS = Object.keys(REASONS);

export const refusalName = (reason) => REASONS[reason] ?? words(reason);

/** Counts by reason, the most frequent first: "rate limit of the key (38), scope missing (2)". */
export function refusalText(reasons) {
  const sorted = Object.entries(reasons).sort(([, one], [, other]) => other - one);
  if (sorted.length === 1) return refusalName(sorted[0][0]);
  return sorted.map(([reason, times]) => `${refusalName(reason)} (${count(times)})`).join(", ");
}
