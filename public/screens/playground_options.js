// Playground: the options of a request, for one query, many of them and a conversation.

import { h } from "../dom.js";
import { ON_NO_FIT } from "../parts/decision.js";
import { field } from "../parts/form.js";
import { callable } from "../parts/models.js";
import { routerOptions } from "../parts/routers.js";

const MAX_MODELS = 4;
const MAX_SCORES = 250; // as many as the API gives
const SWITCHES = { cache: "Use cache", fallback: "Allow fallback" };
const POLICY = { clarify: "Clarifying question", several: "Several agents" };
const ALLOWED = [
  [null, "Default (from settings)"],
  ["true", "Allow"],
  ["false", "Do not allow"],
];

/**
 * Fields for the options of POST /v1/route. `body()` has those that differ from the API's defaults. With `compares`
 * several models can be chosen: `models()` are their ids, null if they are too many, which the field then shows;
 * each of them gives its own decision, without cache and fallback.
 */
export function requestOptions({ agents, models, routers }, { compares = false } = {}) {
  const known = callable(models);
  const compared = field({
    name: "models",
    label: `Compare models (max ${MAX_MODELS})`,
    type: "checks",
    options: known.map((model) => [model.id, model.id]),
  });
  const model = field({
    name: "model",
    label: "Model",
    type: "select",
    options: [[null, "As the router decides"], ...known.map(({ id }) => [id, id])],
  });
  const allowed = field({
    name: "candidates",
    label: "Restrict to agents",
    type: "checks",
    options: agents.filter((agent) => agent.enabled).map((agent) => [agent.id, agent.name]),
  });
  const alone = compares ? "Off while models are compared: each gives its own decision." : null;
  const switches = ["cache", "fallback"].map((name) =>
    field({ name, label: SWITCHES[name], type: "checkbox", value: true, help: alone }),
  );
  const isComparing = () => compared.value().length > 0;
  compared.element.addEventListener("change", () => {
    for (const { element } of switches) {
      const box = element.querySelector("input");
      if (box.disabled !== isComparing()) box.checked = box.disabled;
      box.disabled = isComparing();
    }
  });
  const noFit = field({
    name: "on_no_fit",
    label: "If no agent is found",
    type: "select",
    options: [[null, "Default (from settings)"], ...ON_NO_FIT],
  });
  const policy = ["clarify", "several"].map((name) =>
    field({ name, label: POLICY[name], type: "select", options: ALLOWED }),
  );
  const router = field({
    name: "router",
    label: "Router",
    type: "select",
    options: routerOptions(routers, null, [null, "The one of my key"]),
  });
  return {
    element: h(
      "details",
      {},
      h("summary", {}, "Options"),
      h(
        "div",
        { class: "stack" },
        known.length ? (compares ? compared : model).element : null,
        agents.length ? allowed.element : null,
        switches.map((each) => each.element),
        noFit.element,
        policy.map((each) => each.element),
        routers.length > 1 ? router.element : null,
      ),
    ),
    models() {
      const chosen = compared.value();
      const tooMany = chosen.length > MAX_MODELS;
      compared.show(tooMany ? `Select at most ${MAX_MODELS}.` : null);
      return tooMany ? null : chosen;
    },
    body() {
      const policies = policy.filter((each) => each.value() !== null);
      const chosen = allowed.value();
      const given = {
        ...Object.fromEntries(
          switches.filter((each) => !each.value()).map((each) => [each.spec.name, false]),
        ),
        model: model.value(),
        router: router.value(),
        on_no_fit: noFit.value(),
        candidates: chosen.length ? chosen : null,
        policy: policies.length
          ? Object.fromEntries(policies.map((each) => [each.spec.name, each.value() === "true"]))
          : null,
      };
      return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
    },
  };
}

/** What the page asks for beside the decision; an explanation needs the scope `read`. */
export const shownFully = (may) => ({ top_k: MAX_SCORES, explain: may("read") });

/** A listener for the keys of a form. */
export const runOnCtrlEnter = (run) => (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  run();
};
