// The labels of the pages for the fields of the API, where no form is at hand.

import { words } from "../format.js";
import { GROUPS } from "./settings.js";

const SETTINGS = new Map(
  GROUPS.flatMap(([, settings]) => settings.map(([name, ...rest]) => [name, rest])),
);
const COMMON = {
  active: "Selected",
  after_rule: "Selected by a rule",
  agent_id: "Agent",
  base_url: "Base URL",
  challenger: "Challenger",
  classifier: "Classifier",
  context_window: "Context window (tokens)",
  decision_models: "Decision models",
  default: "Fallback agent",
  default_agent: "Fallback agent",
  email: "Email",
  endpoint: "Endpoint",
  fallback_models: "Fallback models",
  id: "ID",
  json_mode: "Supports JSON mode",
  kind: "Kind",
  logprobs: "Returns token probabilities",
  model: "Chat model",
  monthly_budget_usd: "Monthly budget (USD)",
  monthly_token_budget: "Monthly token budget",
  previous: "Previous",
  previous_model: "Previous model",
  "pricing.input_per_million": "Input price (USD per 1M tokens)",
  "pricing.output_per_million": "Output price (USD per 1M tokens)",
  priority: "Priority (lower is called first)",
  protocol: "Endpoint protocol",
  requests_per_minute: "Rate limit (req/min)",
  routing_model: "Active model",
  scopes: "Scopes",
  secret: "Secret name",
  supports_lora: "Supports LoRA adapters",
  team_id: "Team",
  url: "URL",
  user_id: "Owner",
};
// A key, a user or a team.
const HOLDER = { agents: "Allowed agents", models: "Allowed models", router: "Router" };
const OF_RESOURCE = { key: HOLDER, user: HOLDER, team: HOLDER };

/** The label of a field, which may be a path: "pricing.input_per_million". */
export function fieldName(resource, path) {
  const known = OF_RESOURCE[resource]?.[path] ?? COMMON[path] ?? SETTINGS.get(path)?.[0];
  if (known) return known;
  const text = words(path.replaceAll(".", ": "));
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** The text of an option of a setting; undefined if it has none. */
export const optionName = (path, value) =>
  SETTINGS.get(path)?.[1]?.options?.find(([option]) => option === value)?.[1];
