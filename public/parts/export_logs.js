// Export of logs to a file: the lines of several requests, each shorter than a request may take.

import { ApiError, call } from "../api.js";
import { NO_AGENT } from "./agents.js";
import { csv } from "./csv.js";
import { isMisrouted } from "./misroutes.js";

const ROWS_PER_REQUEST = 5_000;
export const MAX_EXPORTED = 100_000; // all of them are in memory

/**
 * The log rows that match, newest first, as texts of JSON lines, or as `write` makes of these. `more`:
 * there are older ones. Throws ApiError if a response ends before its last line.
 */
export async function exportLogs(query, { signal, write = (lines) => lines }) {
  const parts = [];
  let [rows, after, more] = [0, null, true];
  while (more && rows < MAX_EXPORTED) {
    const response = await call("GET", "/v1/logs/export", {
      query: { ...query, limit: ROWS_PER_REQUEST, after },
      signal,
    });
    const [lines, end] = split(await textOf(response));
    parts.push(write(lines, rows === 0));
    rows += end.rows;
    [after, more] = [end.last_id, end.has_more];
  }
  return { parts, rows, more };
}

const COLUMNS = {
  id: (log) => log.id,
  created_at: (log) => log.created_at,
  query: (log) => log.query,
  agent_id: (log) => log.agent_id,
  outcome: (log) => log.outcome,
  confidence: (log) => log.confidence,
  layer: (log) => log.layer,
  reason: (log) => log.reason,
  label: (log) => (log.label ? (log.label.agent_id ?? NO_AGENT) : null),
  misrouted: isMisrouted,
  model: (log) => log.model,
  adapter: (log) => log.adapter,
  status: (log) => log.status,
  latency_ms: (log) => log.latency_ms,
  cost_usd: (log) => log.cost_usd,
  router: (log) => log.router,
  user: (log) => log.user,
  session: (log) => log.session,
  key_id: (log) => log.key_id,
};

/** JSON lines of log rows as CSV, with the names of the columns before the `first` ones. */
export function logsAsCsv(lines, first) {
  const logs = lines
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const rows = logs.map((log) => Object.values(COLUMNS).map((value) => value(log)));
  return csv(first ? [Object.keys(COLUMNS), ...rows] : rows);
}

const textOf = (response) =>
  response.text().catch(() => {
    throw cut();
  });

/** The lines, and what the last one says. */
function split(text) {
  const at = text.lastIndexOf("\n", text.length - 2) + 1;
  try {
    const end = JSON.parse(text.slice(at));
    if (end.object === "log_export_end") return [text.slice(0, at), end];
  } catch {
    // The line is cut.
  }
  throw cut();
}

const cut = () => new ApiError("The export broke off. Try again.");
