// Many requests, several at a time, that wait where the server says when to try again.

import { sleep } from "./loading.js";

const CONCURRENT = 4;
const MAX_REFUSALS = 5; // of one item
const MAX_WAIT_SECONDS = 120; // a rate limit is lifted within a minute

/**
 * Calls `work(item)` for the items in their order. If it fails with an error that has `retryAfter`, all
 * wait that long, and the item is tried again; `onWait` gets the seconds, and 0 when the wait is over. Any
 * other error of `work` ends the run: it is thrown once the calls that have begun are done. `signal` begins no
 * more calls; those that have begun are not canceled by it.
 */
export async function runPool(items, work, { signal, onWait = () => {} }) {
  const queue = [...items];
  let waiting = null;
  let failure = null;
  const ended = () => failure !== null || signal.aborted;
  const wait = async (seconds) => {
    onWait(seconds);
    await sleep(seconds * 1000, signal);
    onWait(0);
    waiting = null;
  };
  const run = async (item) => {
    for (let refusals = 0; ; refusals += 1) {
      await waiting;
      if (ended()) return;
      try {
        await work(item);
        return;
      } catch (error) {
        const { retryAfter = null } = error;
        if (signal.aborted && retryAfter !== null) return;
        if (retryAfter === null || retryAfter > MAX_WAIT_SECONDS || refusals === MAX_REFUSALS)
          throw error;
        waiting ??= wait(retryAfter);
      }
    }
  };
  const worker = async () => {
    while (queue.length && !ended()) {
      try {
        await run(queue.shift());
      } catch (error) {
        failure ??= error;
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT }, worker));
  if (failure !== null) throw failure;
}
