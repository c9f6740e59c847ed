// Labels that the server does not have yet. They stay in localStorage until it has them, so that no
// reload, closed tab or lost connection loses one. All tabs share the list; one of them sends at a time,
// in the order of the changes, what has gathered behind a request together with the next one.

import { api } from "../api.js";
import { SESSION_CHANGED, session } from "../session.js";
import { notice } from "./notice.js";
import { readStored, writeStored } from "./stored.js";

const NAME = "edgeneuro.unsaved_labels";
const BATCH = 100;
const PAUSES_MS = [1_000, 3_000, 10_000, 30_000];
const MAY_PASS = [0, 401, 408, 425, 429]; // and all from 500 on

/** Fires on `window` when a label was added, saved or refused. */
export const UNSAVED_CHANGED = "edgeneuro:unsaved_labels";

const refusals = new Map(); // what to do with an error, by the id of the change
let sending = null;
let retry = null;
let failures = 0;
let problem = null;

/** Sets the label of a log row's question. `onRefused(error)` is called if the server does not take it. */
export function setLabel({ log_id, agent_id, stream }, onRefused) {
  add({ log_id, agent_id, stream }, onRefused);
}

/** The same for a question that has a label already, or is in the log, by its `query_hash`. */
export function setLabelOf({ query_hash, agent_id }, onRefused) {
  add({ query_hash, agent_id }, onRefused);
}

/** Removes a label that was set; one that was not sent yet is forgotten. */
export function removeLabel(log_id, onRefused) {
  const waiting = mine().findLast((each) => each.log_id === log_id);
  if (waiting && !waiting.removed && !waiting.batch) {
    drop([waiting]);
    changed();
  } else add({ log_id, removed: true }, onRefused);
}

/**
 * The log rows whose labels are not saved, or hashes of their questions, and the error that keeps them from
 * it, if any.
 */
export const unsaved = () => ({
  logs: mine().map((each) => each.log_id ?? each.query_hash),
  problem,
});

/** Resolves when all is saved or refused, or when the next try has to wait. */
export async function settled() {
  while (sending) await sending;
}

/** Sends what an earlier page left behind. */
export function resume() {
  if (mine().length) send();
}

function add(change, onRefused) {
  const added = { id: crypto.randomUUID(), by: session.caller.id, ...change };
  if (onRefused) refusals.set(added.id, onRefused);
  write([...stored(), added]);
  changed();
  send();
}

function send() {
  clearTimeout(retry);
  retry = null;
  sending ??= alone(sendAll).finally(() => {
    sending = null;
    if (retry === null && problem === null && mine().length) send(); // added at the last moment
    changed();
  });
}

const alone = async (work) => (navigator.locks ? navigator.locks.request(NAME, work) : work());

async function sendAll() {
  for (let batch = nextBatch(); batch.length; batch = nextBatch()) {
    try {
      await sendBatch(batch);
      drop(batch);
    } catch (error) {
      // A removal is not repeated: where it was done, it would remove the label before as well.
      if (mayPass(error) && !batch[0].removed) {
        problem = error;
        failures += 1;
        // A refused key asks for another one; the next label, or signing in, tries again.
        if (error.status !== 401) retry = setTimeout(send, pause());
        return;
      }
      refuse(batch, error);
    }
    problem = null;
    failures = 0;
    changed();
  }
}

const mayPass = ({ status, code }) =>
  MAY_PASS.includes(status) || status >= 500 || code === "idempotency_in_progress";

const pause = () => PAUSES_MS[Math.min(failures, PAUSES_MS.length) - 1];

/** The changes of the next request, marked: a repeated request must have the same body and key. */
function nextBatch() {
  const [first, ...others] = mine();
  if (!first) return [];
  if (first.batch) return mine().filter((each) => each.batch === first.batch);
  const end = goesAlone(first) ? 0 : others.findIndex(goesAlone);
  const ids = new Set(
    [first, ...others.slice(0, end < 0 ? BATCH - 1 : Math.min(end, BATCH - 1))].map(({ id }) => id),
  );
  const batch = crypto.randomUUID();
  write(stored().map((each) => (ids.has(each.id) ? { ...each, batch } : each)));
  return mine().filter((each) => ids.has(each.id));
}

const goesAlone = (change) => Boolean(change.removed || change.query_hash);

async function sendBatch(batch) {
  const [{ log_id, query_hash, agent_id, stream, removed, batch: idempotencyKey }] = batch;
  const path = query_hash
    ? `/v1/labels/${encodeURIComponent(query_hash)}/label`
    : `/v1/logs/${encodeURIComponent(log_id)}/label`;
  if (removed) {
    await api("DELETE", path, { keepalive: true }).catch((error) => {
      if (error.status !== 404) throw error; // it has no label
    });
  } else if (batch.length === 1) {
    await api("PUT", path, { body: { agent_id, stream }, keepalive: true });
  } else {
    const body = batch.map(({ log_id, agent_id, stream }) => ({ log_id, agent_id, stream }));
    await api("POST", "/v1/labels", { body, idempotencyKey, keepalive: true });
  }
}

/** Gives up the changes that the error names, or all; the others are sent again. */
function refuse(batch, error) {
  const named = new Map(
    (error.details?.errors ?? []).map(({ index, message }) => [index, message]),
  );
  const refused =
    batch.length > 1 && named.size ? batch.filter((_, index) => named.has(index)) : batch;
  drop(refused);
  const rest = new Set(batch.map(({ id }) => id));
  write(stored().map((each) => (rest.has(each.id) ? { ...each, batch: undefined } : each)));
  for (const change of refused) {
    const message = named.get(batch.indexOf(change)) ?? error.message;
    const onRefused = refusals.get(change.id) ?? toldLater;
    refusals.delete(change.id);
    onRefused({ message, status: error.status });
  }
}

const toldLater = ({ message }) => notice(`A label was not saved: ${message}`);

function drop(changes) {
  const gone = new Set(changes.map(({ id }) => id));
  write(stored().filter(({ id }) => !gone.has(id)));
}

/** Those of the signed-in user: another one of this browser gives no labels in their name. */
const mine = () => stored().filter(({ by }) => by === session.caller?.id);

const stored = () => readStored(NAME, []);

const write = (changes) => writeStored(NAME, changes);

const changed = () => window.dispatchEvent(new Event(UNSAVED_CHANGED));

window.addEventListener(SESSION_CHANGED, resume);
window.addEventListener("online", resume);
window.addEventListener("beforeunload", (event) => {
  if (mine().length) event.preventDefault(); // the browser asks whether to leave
});
