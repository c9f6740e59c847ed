// Addresses of the Logs screen with the filters that match a number of a chart or a table.

import { localTime } from "../format.js";
import { address } from "../router.js";

/** The requests of the range `from` to `to` (times of the API), with the other filters of Logs. */
export const logsAt = ({ from, to, ...filters }) =>
  address(["logs"], { ...filters, from: localTime(from), to: localTime(to) });
