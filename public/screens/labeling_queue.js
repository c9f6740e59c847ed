// The label queue. Labels are saved in the background; a query whose label was refused comes back.

import { api } from "../api.js";
import { questionKey } from "../parts/context.js";
import { removeLabel, setLabel, settled, unsaved } from "../parts/unsaved_labels.js";

const PAGE = 100;
const REFILL_AT = 20;

/**
 * The items of GET /v1/labels/queue in this `stream`, identified by the query and the turn before it: the
 * same question may have several log rows. `onChange()` is called when the view must be redrawn, and
 * `onError(error, item, undone)` when a label, or its removal, was refused.
 */
export class LabelQueue {
  constructor(signal, stream) {
    this.signal = signal;
    this.stream = stream;
    this.items = [];
    this.handled = new Set();
    this.history = [];
    this.done = 0;
    this.complete = false;
    this.filling = null;
    this.error = null;
    this.onChange = () => {};
    this.onError = () => {};
  }

  get current() {
    return this.items[0] ?? null;
  }

  get rest() {
    return this.items.length;
  }

  get skipped() {
    return this.history.filter((entry) => !entry.labeled).map((entry) => entry.item);
  }

  /** Loads more items. An error is kept in `error` until the next call. */
  fill() {
    this.filling ??= this.read()
      .then(() => {
        this.error = null;
      })
      .catch((error) => {
        this.error = error;
      })
      .finally(() => {
        this.filling = null;
      });
    return this.filling;
  }

  async read() {
    await settled(); // else queries whose label is being saved would come again
    const query = { limit: PAGE, stream: this.stream };
    const page = await api("GET", "/v1/labels/queue", { query, signal: this.signal });
    const known = new Set([...this.items.map(questionKey), ...this.handled]);
    const waiting = new Set(unsaved().logs);
    const fresh = page.data.filter(
      (item) => !known.has(questionKey(item)) && !waiting.has(item.log_id),
    );
    this.items.push(...fresh);
    this.complete = page.data.length < PAGE || fresh.length === 0;
  }

  label(agentId) {
    const item = this.items.shift();
    if (!item) return;
    const entry = this.record(item, true);
    this.done += 1;
    setLabel({ log_id: item.log_id, agent_id: agentId, stream: item.stream }, (error) => {
      this.onError(error, item, false);
      const at = this.history.indexOf(entry);
      if (at < 0) return; // already undone
      this.history.splice(at, 1);
      this.handled.delete(questionKey(item));
      this.done -= 1;
      this.items.push(item);
      this.onChange();
    });
    this.advance();
  }

  skip() {
    const item = this.items.shift();
    if (!item) return;
    this.record(item, false);
    this.advance();
  }

  undo() {
    const entry = this.history.pop();
    if (!entry) return;
    const { item, labeled } = entry;
    this.handled.delete(questionKey(item));
    this.items.unshift(item);
    if (labeled) {
      this.done -= 1;
      removeLabel(item.log_id, (error) => this.onError(error, item, true));
    }
    this.onChange();
  }

  /** Returns the skipped queries to the queue. */
  requeueSkipped() {
    this.items.push(...this.skipped);
    this.history = this.history.filter((entry) => entry.labeled);
    for (const item of this.items) this.handled.delete(questionKey(item));
    this.onChange();
  }

  record(item, labeled) {
    const entry = { item, labeled };
    this.handled.add(questionKey(item));
    this.history.push(entry);
    return entry;
  }

  advance() {
    if (this.items.length <= REFILL_AT && !this.complete) this.fill().then(() => this.onChange());
    this.onChange();
  }
}
