// Messages of the API name calls, for its users: here they name pages instead.

import { BY_NAME } from "../menu.js";

/** The screen where one does what these calls do, by their paths. */
const SCREENS = [
  ["models", "models"],
  ["classifiers", "models"],
  ["loras", "adapters"],
  ["evaluations", "evaluations"],
  ["routing-tests", "routing_tests"],
  ["replays", "replays"],
  ["learning", "overview"],
  ["agents", "agents"],
  ["routers", "routers"],
  ["rules", "rules"],
  ["providers", "providers"],
  ["config", "settings"],
  ["logs", "logs"],
  ["labels", "labeling"],
  ["unmatched", "unmatched"],
  ["datasets", "datasets"],
  ["analytics", "analytics"],
  ["costs", "costs"],
  ["users", "keys"],
  ["teams", "keys"],
  ["keys", "keys"],
  ["webhooks", "webhooks"],
  ["audit", "audit"],
  ["route", "playground"],
];
const METHOD = "(?:GET|POST|PUT|PATCH|DELETE)";
const PATH = "/v1/([\\w/{}?=%@:.-]*[\\w}])";
/** With the word before it that leads to it, and a body after it. */
const CALL = new RegExp(`(:? with |:? in |: |)\\b${METHOD} ${PATH}(?: \\{[^}]*\\})?`, "g");
const BARE_METHOD = new RegExp(` with ${METHOD}(?=[.,;])`, "g");
const ANY_CALL = new RegExp(`${METHOD} /v1/`);

/** `message` with the pages' names in place of calls. A sentence that names a call without a page is left out. */
export function inPageWords(message) {
  const text = message?.replaceAll("`", "");
  if (!text || !/[A-Z] \/v1\/| with [A-Z]{3,}[.,;]/.test(text)) return text;
  const named = text.replace(BARE_METHOD, "").replace(CALL, (call, before, path, offset) => {
    const [, screen] = SCREENS.find(([prefix]) => path.startsWith(prefix)) ?? [];
    if (!screen) return call;
    const page = `page “${BY_NAME.get(screen)[1]}”`;
    if (before) return ` on the ${page}`;
    return `${offset === 0 || /[.!?] $/.test(text.slice(0, offset)) ? "The" : "the"} ${page}`;
  });
  return named
    .split(/(?<=[.!?]) /)
    .filter((sentence) => !ANY_CALL.test(sentence))
    .join(" ");
}
