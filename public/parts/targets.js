// Target precisions of a classifier, and the suggestion of another one.

import { percent, plural } from "../format.js";
import { address } from "../router.js";

/** Targets as "99.5 %". */
export const targetText = (target) => percent(target, 2).replace(/(\.\d*[1-9])0+ %$/, "$1 %");

export const pointOf = ({ points: all }, target) => all.find((point) => point.target === target);

/** What the figures are called: of machine labels they say how often the model agrees. */
export const precisionName = ({ basis, basis_model: model }) =>
  basis === "agreement with a model" ? `Agreement with ${model ?? "the model"}` : "Precision";

/** Where the slider of a classifier is, on this target. */
const curveAddress = (id, target) => address(["models", "classifier", id], { target });

/** {text, href}: the target that answers clearly more; null if none does. */
export function suggestion(curve) {
  if (!curve.suggested) return null;
  const now = pointOf(curve, curve.target);
  const better = pointOf(curve, curve.suggested);
  const precision = precisionName(curve).toLowerCase();
  const before =
    now.precision === null
      ? "it answers nothing"
      : `${percent(now.coverage)} at ${percent(now.precision)}`;
  return {
    text: `With a target of ${targetText(better.target)} the classifier would answer ${percent(better.coverage)} at ${percent(better.precision)} ${precision} (${plural(better.answered, "held-out answer")}); with its ${targetText(now.target)} ${before}.`,
    href: curveAddress(curve.classifier_id, better.target),
  };
}
