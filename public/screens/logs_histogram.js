// The histogram above the list of logs. It is read after the list, which must not wait for it.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { time } from "../format.js";
import { histogram } from "../parts/histogram.js";

/**
 * `select(from, to)` gets a time range; `show(query)` counts the requests of a query of the API. With
 * `quiet` a chart that has the focus stays: somebody may be selecting a range.
 */
export function logHistogram({ select, signal }) {
  const element = h("div", { class: "histogram-frame" });
  let newest = null;
  const show = async (query, { quiet = false } = {}) => {
    newest = query;
    element.dataset.stale = String(!quiet); // until the new numbers are there
    let data = null;
    try {
      data = await api("GET", "/v1/logs/histogram", { query, signal });
    } catch (error) {
      if (error.name === "AbortError" || newest !== query) return;
      delete element.dataset.stale;
      replace(element, h("p", { class: "help" }, `Requests over time: ${error.message}`));
      return;
    }
    if (newest !== query) return;
    delete element.dataset.stale;
    const focused = element.contains(document.activeElement);
    if (quiet && focused) return;
    replace(element, histogram(data, select, noteOn(data)));
    if (focused) element.querySelector("svg")?.focus();
    element.hidden = !element.hasChildNodes();
  };
  return { element, show };
}

const PERIODS = { hour: "counted by whole hours", day: "counted by whole days (UTC)" };

function noteOn({ counted, searched_from: since }) {
  if (since) return `of the newest 20,000 in the range, since ${time(since)}`;
  return PERIODS[counted] ?? null;
}
