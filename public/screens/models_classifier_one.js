// One classifier: its curve with the slider, its agents, and what else was measured.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, time } from "../format.js";
import { facts, link } from "../parts/controls.js";
import { stateBadge } from "../parts/job.js";
import { load } from "../parts/loading.js";
import { readNames } from "../parts/names.js";
import { address, go } from "../router.js";
import { agentCard } from "./models_classifier_agents.js";
import { curveCard } from "./models_classifier_curve.js";
import { followUpsCard } from "./models_classifier_follow_ups.js";
import { robustnessCard } from "./models_classifier_robustness.js";
import { shortlistCard } from "./models_classifier_shortlist.js";

const LIST = ["models", "classifier"];

/** `query` may name the target that the slider begins with. */
export async function classifierView({ query, signal, may }, container, id) {
  const path = `/v1/classifiers/${encodeURIComponent(id)}`;
  await load(
    container,
    () =>
      Promise.all([
        api("GET", path, { signal }),
        api("GET", `${path}/curve`, { signal }),
        api("GET", "/v1/config", { signal }),
        readNames({ may, signal }),
      ]),
    ([one, curve, config]) => [
      h("div", {}, link("All classifiers", address(LIST), { size: "small" })),
      summary(one, config),
      curveCard(one, curve, config, {
        may,
        signal,
        target: Number(query.get("target")),
        show: () => go(LIST),
      }),
      agentCard(one),
      followUpsCard(one.follow_ups),
      shortlistCard(one.shortlist),
      robustnessCard(one.robustness),
    ],
    { signal },
  );
}

const summary = (one, config) =>
  h(
    "section",
    { class: "card" },
    facts([
      ["Classifier", h("span", { class: "code wrap" }, one.id)],
      ["State", stateBadge(one.id === config.classifier.value ? "active" : one.state)],
      ["Router", one.options.router],
      ["Trained", time(one.finished_at)],
      ["Labels", count(one.labels)],
      ["Error", one.error ? h("span", { class: "error" }, one.error) : null],
    ]),
  );
