// Reading a log row that may not be written yet: rows follow their answers a moment later.

import { api } from "../api.js";

const PAUSES_MS = [50, 100, 200, 400, 800];

/** The row with this id; throws the ApiError if it is still missing after a moment. */
export async function readLog(id, signal) {
  for (const pause of PAUSES_MS) {
    try {
      return await read(id, signal);
    } catch (error) {
      if (error.status !== 404) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return read(id, signal);
}

const read = (id, signal) => api("GET", `/v1/logs/${encodeURIComponent(id)}`, { signal });
