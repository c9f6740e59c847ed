// The questions to label: shown at once, saved behind. What could not be saved comes back.

import { api } from "../api.js";

const PAGE = 100;
const REFILL_AT = 20;

/**
 * Items are those of GET /v1/labels/queue in this `stream`. A question is known by its text: asked again it comes
 * under another log row. `onChange()` is called when there is something new to show, and
 * `onError(error, item, undone)` where a label, or its removal, could not be saved.
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
    this.fault = null;
    this.saving = Promise.resolve();
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
    return this.history.filter((entry) => !entry.labelled).map((entry) => entry.item);
  }

  /** Asks for more; what went wrong is `fault` until another try. */
  fill() {
    this.filling ??= this.read()
      .then(() => {
        this.fault = null;
      })
      .catch((error) => {
        this.fault = error;
      })
      .finally(() => {
        this.filling = null;
      });
    return this.filling;
  }

  async read() {
    await this.saving; // what is saved is not asked again
    const query = { limit: PAGE, stream: this.stream };
    const page = await api("GET", "/v1/labels/queue", { query, signal: this.signal });
    const known = new Set(this.items.map((item) => item.query));
    const fresh = page.data.filter(
      (item) => !known.has(item.query) && !this.handled.has(item.query),
    );
    this.items.push(...fresh);
    this.complete = page.data.length < PAGE || fresh.length === 0;
  }

  label(agentId) {
    const item = this.items.shift();
    if (!item) return;
    const entry = this.note(item, true);
    this.done += 1;
    const body = { agent_id: agentId, stream: item.stream };
    this.save(
      () => api("PUT", `/v1/logs/${item.log_id}/label`, { body }),
      (error) => {
        this.onError(error, item, false);
        const at = this.history.indexOf(entry);
        if (at < 0) return; // undone meanwhile: it is back already
        this.history.splice(at, 1);
        this.handled.delete(item.query);
        this.done -= 1;
        this.items.push(item);
      },
    );
    this.advance();
  }

  skip() {
    const item = this.items.shift();
    if (!item) return;
    this.note(item, false);
    this.advance();
  }

  undo() {
    const entry = this.history.pop();
    if (!entry) return;
    const { item, labelled } = entry;
    this.handled.delete(item.query);
    this.items.unshift(item);
    if (labelled) {
      this.done -= 1;
      this.save(
        () => api("DELETE", `/v1/logs/${item.log_id}/label`),
        (error) => {
          if (error.status !== 404) this.onError(error, item, true);
        },
      );
    }
    this.onChange();
  }

  /** The skipped ones once more. */
  again() {
    this.items.push(...this.skipped);
    this.history = this.history.filter((entry) => entry.labelled);
    for (const item of this.items) this.handled.delete(item.query);
    this.onChange();
  }

  note(item, labelled) {
    const entry = { item, labelled };
    this.handled.add(item.query);
    this.history.push(entry);
    return entry;
  }

  /** One after the other, so that an undo never overtakes its label. */
  save(write, failed) {
    this.saving = this.saving.then(write).catch((error) => {
      failed(error);
      this.onChange();
    });
  }

  advance() {
    if (this.items.length <= REFILL_AT && !this.complete) this.fill().then(() => this.onChange());
    this.onChange();
  }
}
