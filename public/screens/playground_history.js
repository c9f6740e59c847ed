// Playground: the last queries of this browser. They are in localStorage, unless the installation stores no such
// texts either.

import { h, replace } from "../dom.js";
import { ago, plural } from "../format.js";
import { questionKey } from "../parts/context.js";
import { button } from "../parts/controls.js";
import { readStored, writeStored } from "../parts/stored.js";
import { session } from "../session.js";

const NAME = "edgeneuro.playground";
const MAX_QUERIES = 20;
const HEAD = 200; // characters of a query that are shown

/**
 * The list, as {element, add}. `config` is the response of GET /v1/config, null if the caller may not see it.
 * `onChoose` gets what was added: {query, context}, `context` is null without a turn before the query.
 */
export function recentQueries(config, onChoose) {
  const body = h("div", { class: "stack-small" });
  const summary = h("summary", {});
  const element = h("details", {}, summary, body);
  if (!config?.log_queries.value || config.redact_personal_data.value) {
    forget(); // of a time when texts were stored
    replace(summary, "Recent queries");
    replace(
      body,
      h(
        "p",
        { class: "help" },
        config
          ? "This browser keeps none: by its settings the installation stores no texts, or none with personal data."
          : "This browser keeps none: your key may not see whether the installation stores texts.",
      ),
    );
    return { element, add() {} };
  }
  const show = () => {
    const all = mine();
    replace(summary, all.length ? `Recent queries (${all.length})` : "Recent queries");
    replace(
      body,
      h(
        "p",
        { class: "help" },
        `The last ${plural(MAX_QUERIES, "query", "queries")} are kept in this browser alone.`,
      ),
      h(
        "ul",
        { class: "recent" },
        all.map((each) => item(each, onChoose)),
      ),
      all.length
        ? h(
            "div",
            {},
            button(
              "Clear",
              () => {
                forget();
                show();
                summary.focus();
              },
              { size: "small", label: "Clear the recent queries" },
            ),
          )
        : null,
    );
  };
  show();
  return {
    element,
    /** Adds a query with what was decided, as the first one. */
    add({ query, context, decided }) {
      const added = { query, context, decided, at: new Date().toISOString() };
      const others = mine().filter((each) => questionKey(each) !== questionKey(added));
      write([added, ...others].slice(0, MAX_QUERIES));
      show();
    },
  };
}

function item(each, onChoose) {
  const { query, context, decided, at } = each;
  return h(
    "li",
    {},
    h(
      "button",
      { class: "text-button", type: "button", onclick: () => onChoose(each) },
      query.length > HEAD ? `${query.slice(0, HEAD)}…` : query,
    ),
    h(
      "span",
      { class: "help" },
      [decided, context ? "with the turn before" : null, ago(at)].filter(Boolean).join(", "),
    ),
  );
}

/** Those of the caller: another person's, in the same browser, are not shown. */
function mine() {
  const { by, queries } = readStored(NAME, {});
  return by === session.caller.id ? queries : [];
}

function write(queries) {
  try {
    writeStored(NAME, { by: session.caller.id, queries });
  } catch {
    forget(); // no room: queries may be long
  }
}

const forget = () => localStorage.removeItem(NAME);
