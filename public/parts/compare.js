// A value compared with that of the period before.

import { percent, points } from "../format.js";

const BEFORE = "than in the period before";

/** A change in percent; null if there is nothing to compare with. */
export function change(value, before) {
  if (value === null || !before) return null;
  const share = (value - before) / before;
  if (Math.abs(share) < 0.005) return "as in the period before";
  if (value >= 10 * before) return "over 10 times the period before"; // which had next to nothing
  return `${percent(Math.abs(share), 0)} ${share > 0 ? "more" : "less"} ${BEFORE}`;
}

/** A change of a share in percentage points. */
export function changeInPoints(value, before) {
  if (value === null || before === null) return null;
  return `${points(value - before)}, ${percent(before)} in the period before`;
}
