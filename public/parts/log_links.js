// Addresses of the Logs screen with the filters that match a number of a chart or a table.

import { localTime } from "../format.js";
import { address } from "../router.js";

/** The requests of the range `from` to `to` (times of the API), with the other filters of Logs. */
export const logsAt = ({ from, to, ...filters }) =>
  address(["logs"], { ...filters, from: localTime(from), to: localTime(to) });

const STEPS = { "5m": 300, hour: 3600, day: 86_400 };

/** When the periods of these analytics begin, in unix seconds: the first one too, even if the range starts within it. */
export function startsOf({ series, interval }) {
  const step = STEPS[interval];
  return series.map((period) => Math.floor(Date.parse(period.start) / 1000 / step) * step);
}

/** The requests of a period of these analytics, with other filters of Logs. */
export function logsOf({ interval }, { start }, filters) {
  const step = STEPS[interval] * 1000;
  return logsAt({ ...filters, from: start, to: (Math.floor(Date.parse(start) / step) + 1) * step });
}
