// Export of logs to a file: the lines of several requests, each shorter than a request may take.

import { ApiError, call } from "../api.js";

const ROWS_PER_REQUEST = 5_000;
export const MAX_EXPORTED = 100_000; // all of them are in memory

/**
 * The log rows that match, newest first, as texts of JSON lines. `more`: there are older ones. Throws
 * ApiError if a response ends before its last line.
 */
export async function exportLogs(query, signal) {
  const parts = [];
  let [rows, after, more] = [0, null, true];
  while (more && rows < MAX_EXPORTED) {
    const response = await call("GET", "/v1/logs/export", {
      query: { ...query, limit: ROWS_PER_REQUEST, after },
      signal,
    });
    const [lines, end] = split(await textOf(response));
    parts.push(lines);
    rows += end.rows;
    [after, more] = [end.last_id, end.has_more];
  }
  return { parts, rows, more };
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
