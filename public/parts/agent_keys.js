// The keys of agents in the label queue. In this browser an agent keeps its key when others are added
// or deleted.

import { readStored, writeStored } from "./stored.js";

const NAME = "edgeneuro.agent_keys";

/** Choose a suggestion of the queue, whatever agent it is. */
export const SUGGESTION_KEYS = ["q", "w", "e"];

// Digits, then letters that mean nothing else here: not those of suggestions, skip, undo and "go to".
const KEYS = [..."123456789abcdfhijklmnoprtvxyz"];

/**
 * The [key, agent] pairs in the order of the keys, then the agents beyond the last key, whose key is
 * null.
 */
export function withKeys(agents) {
  const before = readStored(NAME, {});
  const keys = new Map(); // agents by their key
  const others = [];
  for (const agent of agents) {
    const key = before[agent.id];
    if (KEYS.includes(key) && !keys.has(key)) keys.set(key, agent);
    else others.push(agent);
  }
  for (const key of KEYS) if (!keys.has(key) && others.length) keys.set(key, others.shift());
  const pairs = KEYS.filter((key) => keys.has(key)).map((key) => [key, keys.get(key)]);
  writeStored(NAME, Object.fromEntries(pairs.map(([key, { id }]) => [id, key])));
  return [...pairs, ...others.map((agent) => [null, agent])];
}

/** How keys are listed: "1 to 9", "A to K". */
export const keyRanges = (keys) =>
  [/[0-9]/, /[a-z]/]
    .map((kind) => keys.filter((key) => kind.test(key)).map((key) => key.toUpperCase()))
    .filter((each) => each.length)
    .map(([first, ...others]) => (others.length ? `${first} to ${others.at(-1)}` : first));
