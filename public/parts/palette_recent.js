// What was opened with the command palette lately, kept in this browser until somebody signs out.

import { mayOpen } from "../menu.js";
import { RECENT_ITEM } from "../session.js";
import { readStored, writeStored } from "./stored.js";

const MAX_KEPT = 8;

const kept = () =>
  readStored(RECENT_ITEM, []).filter(({ href, title, kind }) => href && title && kind);

/** The newest first, without what the caller may not open and without the page that is open. */
export function recentItems(all) {
  const known = new Map(all.map((item) => [item.href, item]));
  return kept()
    .filter(({ href }) => href !== location.hash && mayOpen(href.split(/[/?]/)[1]))
    .map((item) => known.get(item.href) ?? item);
}

export function remember({ kind, title, href }) {
  const items = [{ kind, title, href }, ...kept().filter((item) => item.href !== href)];
  writeStored(RECENT_ITEM, items.slice(0, MAX_KEPT));
}
