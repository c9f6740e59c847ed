// Jobs, such as adapter uploads, evaluations and trainings: states, cancel button, polling.

import { api } from "../api.js";
import { words } from "../format.js";
import { actionButton, badge } from "./controls.js";
import { load, polling } from "./loading.js";

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

export const isActive = (state) => state === "queued" || state === "running";

/** Cancels the job at this path, then shows its new state. */
export const cancelButton = (path, follow, options = {}) =>
  actionButton(
    "Cancel",
    async () => {
      try {
        await api("POST", `${path}/cancel`);
      } catch (error) {
        if (error.status !== 409) throw error; // the job has already ended
      }
      await follow();
    },
    options,
  );

/**
 * Fills `container` with `render(result, follow)` of what `read` returns, and reads again while
 * `active(result)`. `follow()` restarts that after a change.
 */
export async function followJobs(container, read, render, { signal, active }) {
  let last = null;
  const show = async () => {
    const shown = await load(
      container,
      read,
      (result) => {
        last = result;
        return render(result, follow);
      },
      { signal, keep: true, steady: true, retry: () => follow() },
    );
    return shown && last !== null && active(last);
  };
  const follow = polling(show, { signal });
  await follow();
}

/** The same for the one job at this path. */
export const followJob = (container, path, render, { signal }) =>
  followJobs(container, () => api("GET", path, { signal }), render, {
    signal,
    active: (job) => isActive(job.state),
  });
