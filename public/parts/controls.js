// Small components: buttons, badges, page heads, figures, bars.

import { h, newId, s } from "../dom.js";
import { BY_NAME, mayOpen } from "../menu.js";
import { setBusy } from "./busy.js";
import { copyText } from "./clipboard.js";
import { openDialog } from "./dialog.js";
import { errorPanel } from "./loading.js";

export function button(text, onclick, { kind, size, label, disabled = false, name } = {}) {
  return h(
    "button",
    {
      class: "button",
      "data-kind": kind,
      "data-size": size,
      type: "button",
      "aria-label": label,
      disabled,
      name,
      onclick,
    },
    text,
  );
}

/** A button that is busy while `act` runs and shows its error in a dialog. */
export function actionButton(text, act, options = {}) {
  const element = button(
    text,
    async () => {
      setBusy(element, true);
      try {
        await act();
      } catch (error) {
        showError(error);
      } finally {
        setBusy(element, false);
      }
    },
    options,
  );
  return element;
}

export function showError(error) {
  if (error.name === "AbortError") return;
  const dialog = openDialog({
    title: "Something went wrong",
    body: [
      errorPanel(error),
      h(
        "div",
        { class: "form-actions" },
        button("Close", () => dialog.close(), { kind: "main" }),
      ),
    ],
  });
}

/** A link; null if it leads to a screen that the caller may not open. */
export function link(text, href, { kind, size } = {}) {
  const [hash, screen] = href.split(/[/?]/);
  if (hash === "#" && BY_NAME.has(screen) && !mayOpen(screen)) return null;
  return h(
    "a",
    {
      class: kind === undefined && size === undefined ? null : "button",
      "data-kind": kind,
      "data-size": size,
      href,
    },
    text,
  );
}

export const badge = (text, kind) => h("span", { class: "badge", "data-kind": kind }, text);

export function pageHead(title, text, ...actions) {
  return h(
    "div",
    { class: "page-head" },
    h("div", {}, h("h1", {}, title), text ? h("p", {}, text) : null),
    actions.length ? h("div", { class: "row" }, actions) : null,
  );
}

export function card(title, ...content) {
  return h(
    "section",
    { class: "card" },
    title ? h("div", { class: "card-head" }, h("h2", {}, title)) : null,
    h("div", { class: "stack" }, content),
  );
}

/** `all` are [title, address]; the tab with the address `current` is marked. */
export function tabs(label, current, all) {
  const element = h(
    "nav",
    { class: "tabs", "aria-label": label },
    all.map(([title, href]) =>
      h("a", { href, "aria-current": href === current ? "page" : null }, title),
    ),
  );
  // On a narrow screen the current tab may be out of view.
  queueMicrotask(() =>
    element
      .querySelector("[aria-current]")
      ?.scrollIntoView({ block: "nearest", inline: "nearest" }),
  );
  return element;
}

export function facts(rows) {
  return h(
    "dl",
    { class: "facts" },
    rows
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** A value with its name; `info` is its definition. */
/** A tile with a number; `values` are drawn as a small line below it, null is a gap. */
export function figure(name, value, { note, info, href, values = [] } = {}) {
  return h(
    "div",
    { class: "figure" },
    h("span", { class: "figure-name" }, href ? h("a", { href }, name) : name),
    h("span", { class: "figure-value" }, value),
    note ? h("span", { class: "figure-note" }, note) : null,
    values.filter((each) => each !== null).length > 1 ? sparkline(values) : null,
    info ? infoIcon(info) : null,
  );
}

const SPARK_HEIGHT = 24;

/** The course of `values`, without a scale; a null value ends a line and the next one begins another. */
function sparkline(values) {
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(...known, 0), Math.max(...known)];
  const y = (value) => SPARK_HEIGHT - 2 - ((value - low) / (high - low || 1)) * (SPARK_HEIGHT - 4);
  const lines = [[]];
  for (const [x, value] of values.entries()) {
    if (value === null) lines.push([]);
    else lines.at(-1).push(`${x},${y(value).toFixed(1)}`);
  }
  return s(
    "svg",
    {
      class: "sparkline",
      "aria-hidden": "true",
      preserveAspectRatio: "none",
      viewBox: `0 0 ${values.length - 1} ${SPARK_HEIGHT}`,
    },
    lines
      .filter((line) => line.length > 1)
      .map((line) => s("polyline", { points: line.join(" ") })),
  );
}

/** An (i) that shows a sentence. */
export const infoIcon = (text) =>
  h(
    "details",
    { class: "info" },
    h("summary", { "aria-label": "Definition", title: text }, "i"),
    h("p", {}, text),
  );

/** Horizontal bars: `rows` are {name, value, text, kind, start, href}; the full width is `max`. */
export function bars(
  rows,
  max = Math.max(...rows.map(({ start = 0, value }) => start + value), 0) || 1,
) {
  return h(
    "div",
    { class: "bars" },
    rows.map(({ name, value, text, kind, start = 0, href }) => [
      h("span", { class: "wrap" }, href ? h("a", { href }, name) : name),
      s(
        "svg",
        { class: "bar-track", "aria-hidden": "true", preserveAspectRatio: "none" },
        s("rect", { class: "bar-back", width: "100%", height: "100%", rx: "4" }),
        s("rect", {
          class: "bar-fill",
          "data-kind": kind,
          x: `${(start / max) * 100}%`,
          width: `${Math.max((value / max) * 100, value > 0 ? 0.5 : 0)}%`,
          height: "100%",
          rx: "4",
        }),
      ),
      h("span", { class: "number small" }, text),
    ]),
  );
}

export function progressBar(text, share) {
  const id = newId("progress");
  return h(
    "div",
    { class: "stack-small" },
    h("label", { for: id, class: "small" }, text),
    h("progress", { id, max: "1", value: share }),
  );
}

export const copyButton = (text, label) =>
  button("Copy", () => copyText(text), { size: "small", label });

/** Saves text or a blob as a file. */
export function save(name, content, type = "text/plain") {
  const url = URL.createObjectURL(
    content instanceof Blob ? content : new Blob([content], { type }),
  );
  h("a", { href: url, download: name }).click();
  // The browser reads the URL after the click has returned.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
