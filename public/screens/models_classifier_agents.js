// The agents of a classifier: whether it answers with them, why not, and what to do about it.

import { h } from "../dom.js";
import { count, NOTHING, percent, plural } from "../format.js";
import { agentLabel } from "../parts/agents.js";
import { badge, card, link } from "../parts/controls.js";
import { table } from "../parts/table.js";
import { address } from "../router.js";

const MIN_HELD_OUT = 20; // labels of an agent; with fewer its figures are chance
const CLEARLY_HIGHER = 0.02; // than the lowest threshold
const FEW_ANSWERS = 0.3; // of the held-out labels

/** Null for a training without figures. */
export function agentCard(one) {
  if (!one.per_agent) return null;
  const lowest = Math.min(...one.per_agent.map(({ threshold }) => threshold ?? 1));
  const rows = [
    ...one.per_agent.map((agent) => ({ ...agent, ...standing(agent, one, lowest) })),
    ...one.agents_joined.map((id) => ({ agent_id: id, ...joined(id, one) })),
  ];
  return card(
    "Agents",
    table({
      caption: "By agent",
      hideCaption: true,
      rows,
      columns: [
        { head: "Agent", cell: (agent) => agentLabel(agent.agent_id), heading: true, kind: "wide" },
        {
          head: "Answered",
          cell: ({ answers, threshold }) => [
            badge(answers ? "yes" : "no", answers ? "good" : "warn"),
            threshold ? ` from ${percent(threshold)}` : null,
          ],
        },
        {
          head: "Labels",
          cell: (agent) => [
            count(agent.labels),
            agent.machine_labels
              ? h("div", { class: "help" }, `${count(agent.machine_labels)} machine`)
              : null,
          ],
          kind: "number",
        },
        {
          head: "Held out, correct",
          cell: (agent) => of(agent.held_out_right, agent.held_out),
          kind: "number",
        },
        {
          head: "Answered, correct",
          cell: (agent) => of(agent.answered_right, agent.answered),
          kind: "number",
        },
        {
          head: "Reason and next step",
          kind: "wide",
          cell: ({ reason, steps }) =>
            reason
              ? h(
                  "div",
                  { class: "stack-small" },
                  h("span", {}, reason),
                  steps.length ? h("div", { class: "row" }, steps) : null,
                )
              : NOTHING,
        },
      ],
    }),
  );
}

const of = (part, whole) => (whole ? `${count(part)} of ${count(whole)}` : NOTHING);

const step = (text, agent, place, query) =>
  link(text, address(place, { ...query, agent }), { size: "small" });

const labelMore = (agent, missing) =>
  step(missing > 0 ? `Label ${count(missing)} more` : "Label more", agent, ["labeling", "bulk"]);

/** What makes its answers wrong: decisions that were wrong, and labels that may be. */
const review = (agent) => [
  step("Review misroutes", agent, ["logs"], { misrouted: "true" }),
  step("Review labels", agent, ["labeling", "labels"]),
];

function joined(id, { options }) {
  return {
    answers: true,
    reason: "New since the training: known by its description and examples alone",
    steps: [labelMore(id, options.min_labels)],
  };
}

/** {answers, reason, steps} of an agent; the reason is null if there is nothing to say. */
export function standing(agent, one, lowest) {
  const { agent_id: id, threshold } = agent;
  const { target, min_labels: needed } = one.options;
  const labels = agent.labels + agent.machine_labels;
  const heldOut = agent.held_out ?? 0;
  const missing = MIN_HELD_OUT - heldOut;
  const onlyHeldOut = heldOut
    ? `Only ${plural(heldOut, "label")} held out`
    : "No label of it was held out";
  if (threshold === null) {
    const says = (reason, ...steps) => ({ answers: false, reason, steps: steps.flat() });
    if (labels < needed)
      return says(
        `${plural(labels, "label")}; ${count(needed)} are needed`,
        labelMore(id, needed - labels),
      );
    if (missing > 0)
      return says(`${onlyHeldOut}: too few to show ${percent(target)}`, labelMore(id, missing));
    if (agent.best_precision !== null && agent.best_precision < target)
      return says(
        `Precision ${percent(agent.best_precision)} at best, of ${plural(agent.best_of, "answer")}; ${percent(target)} is the target`,
        review(id),
      );
    return says(`No threshold is shown to reach ${percent(target)}`, review(id));
  }
  const says = (reason, ...steps) => ({ answers: true, reason, steps: steps.flat() });
  if (missing > 0) return says(`${onlyHeldOut}: its figures are uncertain`, labelMore(id, missing));
  if (threshold > lowest + CLEARLY_HIGHER)
    return says("Higher threshold, because its answers are less precise", review(id));
  if (agent.answered !== null && agent.answered < FEW_ANSWERS * heldOut)
    return says("Sure of few of its questions", labelMore(id, 0));
  return says(null);
}
