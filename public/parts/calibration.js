// The calibration of a model's confidence: what is in force, what it changes, and its removal.

import { api } from "../api.js";
import { h } from "../dom.js";
import { count, percent, time } from "../format.js";
import { address } from "../router.js";
import { facts } from "./controls.js";
import { confirm } from "./dialog.js";
import { notice } from "./notice.js";

/** The facts of a model's `calibration`. */
export const calibrationFacts = (calibration) =>
  facts([
    ["Since", time(calibration.created_at)],
    ["Answers", count(calibration.n)],
    ["ECE", `${percent(calibration.ece_before)} → ${percent(calibration.ece_after)}`],
    [
      "From",
      h("a", { href: address(["evaluations", calibration.evaluation_id]) }, "this evaluation"),
    ],
  ]);

/** Asks, then ends the calibration. Resolves to whether it was ended. */
export async function removeCalibration(model) {
  const done = await confirm({
    title: `Remove the calibration of ${model.id}?`,
    body: h(
      "p",
      {},
      "The model's own confidence counts again from the next request on, and the threshold is compared with it.",
    ),
    action: "Remove calibration",
    danger: true,
    act: () => api("DELETE", `/v1/models/${encodeURIComponent(model.id)}/calibration`),
  });
  if (done) notice(`Calibration of ${model.id} removed.`);
  return Boolean(done);
}

// A confidence of 0 or 1 stands for all that rounds to it.
const NEAREST = 0.00005;

const logOdds = (share) => {
  const clipped = Math.min(Math.max(share, NEAREST), 1 - NEAREST);
  return Math.log(clipped / (1 - clipped));
};
const sigmoid = (odds) => 1 / (1 + Math.exp(-odds));

/** What the model's own confidence becomes. */
export const calibrated = ({ slope, intercept }, confidence) =>
  sigmoid(slope * logOdds(confidence) + intercept);

/** The model's own confidence that becomes `confidence`. */
export const uncalibrated = ({ slope, intercept }, confidence) =>
  sigmoid((logOdds(confidence) - intercept) / slope);
