// Rules in words, for all screens.

import { agentLabel } from "./agents.js";

export const ruleName = (rule) => rule.name ?? rule.id ?? "New rule";

export function conditionsOf(when) {
  const parts = [
    when.mention ? "@agent" : null,
    when.words ? `words: ${when.words.join(", ")}` : null,
    when.pattern ? `expression: ${when.pattern}` : null,
    ...Object.entries(when.metadata ?? {}).map(([key, value]) => `${key} = ${value}`),
    when.key_id ? `key ${when.key_id}` : null,
    when.user ? `user ${when.user}` : null,
  ].filter(Boolean);
  return parts.length ? parts.join("; ") : "every message";
}

export function effectOf(then) {
  if (then === null || then === undefined) return "the mentioned agent";
  if (then.agent_id) return agentLabel(then.agent_id);
  if (then.never) return `never ${then.never.map(agentLabel).join(", ")}`;
  return then.prefer ? `prefer ${agentLabel(then.prefer)}` : `model ${then.model}`;
}
