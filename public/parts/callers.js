// Names of callers: logs and sums have the id of a key, or of a user of Cloudflare Access.

import { listAll } from "../api.js";

const names = new Map([["admin_token", "Admin token"]]);

/** Reads the names, for those who may see keys and users. */
export async function readCallers({ may, signal }) {
  if (!may("admin")) return;
  const lists = await Promise.all(
    ["/v1/keys", "/v1/users"].map((path) => listAll(path, { signal })),
  );
  for (const { id, name, email } of lists.flat()) names.set(id, name || email);
}

/** The name of a caller: the id itself for those who may not see names. */
export const callerLabel = (id) => names.get(id) ?? id;
