// The states of what takes longer: adapters, evaluations, trainings.

import { words } from "../format.js";
import { badge } from "./controls.js";

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
