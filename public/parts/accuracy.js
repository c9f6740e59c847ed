// Accuracy is never without the number of labels that it was measured on.

import { count, NOTHING, percent, plural } from "../format.js";

/** "91 % (84 % to 95 %, n = 120)" */
export const accuracyText = ({ accuracy, low, high, labelled }) =>
  labelled
    ? `${percent(accuracy)} (${percent(low)} to ${percent(high)}, n = ${count(labelled)})`
    : NOTHING;

/** The note of a figure: "84 % to 95 %, 120 sampled requests" */
export const accuracyNote = ({ low, high, labelled }) =>
  labelled
    ? `${percent(low)} to ${percent(high)}, ${plural(labelled, "sampled request")}`
    : "no labeled random sample yet";
