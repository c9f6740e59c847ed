// Names of callers: logs and sums have the id of a key, or of a user of Cloudflare Access.

import { listAll } from "../api.js";
import { session } from "../session.js";

const names = new Map([["admin_token", "Admin token"]]);
let readFor = null; // the id of the caller who read them

/** Reads the names, for those who may see keys and users. */
export async function readCallers({ may, signal }) {
  const lists = may("admin")
    ? await Promise.all(["/v1/keys", "/v1/users"].map((path) => listAll(path, { signal })))
    : [];
  if (!callersKnown()) names.clear(); // another caller may not see them
  names.set("admin_token", "Admin token");
  noteCallers(lists.flat());
  readFor = session.caller?.id;
}

/** Keeps the names of these keys or users. */
export function noteCallers(callers) {
  for (const { id, name, email } of callers) names.set(id, name || email);
}

/** Whether this caller has read them. */
export const callersKnown = () => readFor !== null && readFor === session.caller?.id;

/** The name of a caller: the id itself for those who may not see names. */
export const callerLabel = (id) => names.get(id) ?? id;
