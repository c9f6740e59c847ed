// The step of an import that says which column of the file is which field.

import { h, replace } from "../dom.js";
import { NOTHING } from "../format.js";
import { table } from "../parts/table.js";

const FIELDS = [
  ["", "Not used"],
  ["query", "Query"],
  ["agent", "Agent"],
  ["agent_description", "Description of the agent"],
  ["messages", "Conversation (messages)"],
  ["context", "Previous turn (object)"],
  ["previous_agent", "Previous turn: agent"],
  ["previous_user", "Previous turn: query"],
  ["previous_assistant", "Previous turn: answer"],
  ["split", "Split"],
  ["labeler", "Labeler"],
  ["labelled_at", "Time of the label"],
  ["source", "Source of the label"],
];
// What a preview shows depends on these.
const PREVIEWED = ["query", "agent", "agent_description", "messages"];

/**
 * `preview(columns)` is called if another preview is needed, `onChange` at each choice. The value is null
 * for an export, whose lines need no choice.
 */
export function columnsStep({ columns, chosen }, { onChange, preview }) {
  if (chosen === null)
    return { element: null, complete: () => true, validate: () => true, value: () => null };
  const error = h("p", { class: "error", role: "alert" });
  const uses = new Map(
    Object.entries(chosen)
      .filter(([, name]) => name !== null)
      .map(([field, name]) => [name, field]),
  );
  const selects = new Map(columns.map(({ name }) => [name, select(name)]));

  function select(name) {
    const element = h(
      "select",
      { "aria-label": `Use of the column ${name}` },
      FIELDS.map(([value, label]) => h("option", { value }, label)),
    );
    element.value = uses.get(name) ?? "";
    element.addEventListener("change", () => choose(name, element.value));
    return element;
  }

  function choose(name, field) {
    const before = uses.get(name);
    const former = [...uses].find(([, used]) => field && used === field)?.[0];
    if (former !== undefined) {
      uses.delete(former); // a field has one column
      selects.get(former).value = "";
    }
    if (field) uses.set(name, field);
    else uses.delete(name);
    replace(error);
    onChange();
    if (PREVIEWED.includes(field) || PREVIEWED.includes(before)) preview(value());
  }

  const value = () => Object.fromEntries([...uses].map(([name, field]) => [field, name]));
  const missing = () => {
    const used = new Set(uses.values());
    if (!used.has("query") && !used.has("messages")) return "Select the column of the query.";
    return used.has("agent") ? null : "Select the column of the agent.";
  };
  return {
    element: h(
      "div",
      { class: "stack-small" },
      table({
        caption: "Columns of the file",
        rows: columns,
        columns: [
          { head: "Column", cell: ({ name }) => name, heading: true },
          { head: "Used as", cell: ({ name }) => selects.get(name) },
          {
            head: "Sample values",
            kind: "wide",
            cell: ({ samples }) =>
              samples.length
                ? h(
                    "ul",
                    { class: "samples" },
                    samples.map((text) => h("li", {}, text)),
                  )
                : NOTHING,
          },
        ],
      }),
      error,
    ),
    value,
    complete: () => missing() === null,
    /** Whether the needed columns are chosen; if not, says which one is missing. */
    validate() {
      replace(error, missing());
      return missing() === null;
    },
  };
}
