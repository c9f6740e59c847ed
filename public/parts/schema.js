// Says above every screen that the database has another schema than this version needs.

import { api } from "../api.js";
import { replace } from "../dom.js";

const ADVICE = {
  older: "Migrate the database: npm run upgrade.",
  newer: "Deploy the version that migrated it, or restore the database from before that.",
};

/** Fills the element if the schemas differ. A failure shows nothing: the screens show their own. */
export async function showSchema(banner, signal) {
  const health = await api("GET", "/healthz", { signal }).catch(() => null);
  const { state, database, needed, changes_allowed: changes } = health?.schema ?? {};
  if (!ADVICE[state]) return;
  const effect = changes ? "" : " It routes queries, and refuses changes.";
  replace(
    banner,
    `The database has schema ${database}, and this version needs ${needed}.${effect} ${ADVICE[state]}`,
  );
}
