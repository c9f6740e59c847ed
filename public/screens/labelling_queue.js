// The questions to label: shown at once, saved behind. What could not be saved comes back.

import { api } from "../api.js";

const PAGE = 100;
const REFILL_AT = 20;

export class LabelQueue {
  /** Items are those of GET /v1/labels/queue; `onChange` is called when the current one changes. */
  constructor(signal) {
    this.signal = signal;
    this.items = [];
    this.handled = new Set();
    this.history = [];
    this.done = 0;
    this.complete = false;
    this.loading = false;
    this.onChange = () => {};
    this.onError = () => {};
    this.saving = Promise.resolve();
  }

  get current() {
    return this.items[0] ?? null;
  }

  get rest() {
    return this.items.length;
  }

  get canUndo() {
    return this.history.length > 0;
  }

  async fill() {
    if (this.loading) return;
    this.loading = true;
    try {
      await this.saving; // what is saved is not asked again
      const page = await api("GET", "/v1/labels/queue", {
        query: { limit: PAGE },
        signal: this.signal,
      });
      const known = new Set(this.items.map((item) => item.log_id));
      const fresh = page.data.filter(
        (item) => !known.has(item.log_id) && !this.handled.has(item.log_id),
      );
      this.items.push(...fresh);
      this.complete = page.data.length < PAGE || fresh.length === 0;
    } finally {
      this.loading = false;
    }
  }

  label(agentId) {
    const item = this.items.shift();
    if (!item) return;
    this.handled.add(item.log_id);
    this.history.push({ item, labelled: true });
    this.done += 1;
    this.save(item, () =>
      api("PUT", `/v1/logs/${item.log_id}/label`, { body: { agent_id: agentId } }),
    );
    this.advance();
  }

  skip() {
    const item = this.items.shift();
    if (!item) return;
    this.handled.add(item.log_id);
    this.history.push({ item, labelled: false });
    this.advance();
  }

  undo() {
    const last = this.history.pop();
    if (!last) return;
    this.handled.delete(last.item.log_id);
    this.items.unshift(last.item);
    if (last.labelled) {
      this.done -= 1;
      this.save(null, () => api("DELETE", `/v1/logs/${last.item.log_id}/label`));
    }
    this.onChange();
  }

  /** One after the other, so that an undo never overtakes its label. */
  save(item, write) {
    this.saving = this.saving.then(write).catch((error) => {
      if (item === null || this.signal.aborted) return;
      this.handled.delete(item.log_id);
      this.history = this.history.filter((each) => each.item !== item);
      this.done -= 1;
      this.items.push(item);
      this.onError(error, item);
      this.onChange();
    });
  }

  advance() {
    this.onChange();
    if (this.items.length > REFILL_AT || this.complete) return;
    this.fill()
      .then(() => this.onChange())
      .catch(() => {}); // the next label tries again
  }
}
