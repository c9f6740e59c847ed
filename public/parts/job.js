// The states of what takes longer: adapters, evaluations, trainings.

import { api } from "../api.js";
import { words } from "../format.js";
import { actionButton, badge } from "./controls.js";

const KINDS = {
  queued: "accent",
  running: "accent",
  succeeded: "good",
  available: "good",
  failed: "bad",
  cancelled: undefined,
  retired: undefined,
  not_ready: "warn",
};

export const stateBadge = (state) => badge(words(state), KINDS[state]);

export const underWay = (state) => state === "queued" || state === "running";

/** Cancels the job at this address, then follows what became of it. */
export const cancelButton = (path, follow) =>
  actionButton("Cancel", async () => {
    try {
      await api("POST", `${path}/cancel`);
    } catch (error) {
      if (error.status !== 409) throw error; // it has just ended: that is seen then
    }
    await follow();
  });
