// A request to the API as code of an application, to be copied. The page shows no key; what is copied has the one
// in use.

import { h } from "../dom.js";
import { session } from "../session.js";
import { copyText } from "./clipboard.js";
import { button } from "./controls.js";

const HIDDEN = "YOUR_KEY";
const MAX_LINE = 60; // characters of a value that stays on one line
const PYTHON_WORDS = { true: "True", false: "False", null: "None" };

/** Each language: its name, and the program that sends `body` to `url` and prints the decision. */
const LANGUAGES = [
  [
    "curl",
    (url, body) =>
      `curl ${url} \\
  -H "authorization: Bearer ${HIDDEN}" \\
  -d ${shellText(literal(body))}`,
  ],
  [
    "Python",
    (url, body) =>
      `import httpx

response = httpx.post(
    "${url}",
    headers={"authorization": "Bearer ${HIDDEN}"},
    json=${literal(body, { words: PYTHON_WORDS, step: "    ", indent: "    " })},
)
decision = response.raise_for_status().json()
print(decision["outcome"], decision["agent"])`,
  ],
  [
    "JavaScript",
    (url, body) =>
      `const response = await fetch("${url}", {
  method: "POST",
  headers: { authorization: "Bearer ${HIDDEN}" },
  body: JSON.stringify(${literal(body, { indent: "  " })}),
});
const decision = await response.json();
console.log(decision.outcome, decision.agent);`,
  ],
];

/** Code that sends a body to POST `path`: `update(body)` replaces it by the code of another body. */
export function snippets(path, body) {
  const url = location.origin + path;
  const all = LANGUAGES.map(([title, program]) => ({
    title,
    program,
    text: h("pre", { tabindex: "0" }),
  }));
  const update = (next) => {
    for (const { program, text } of all) text.textContent = program(url, next);
  };
  update(body);
  return { element: h("div", { class: "stack-small" }, all.map(snippet)), update };
}

const snippet = ({ title, text }) =>
  h(
    "details",
    {},
    h("summary", {}, title),
    h(
      "div",
      { class: "stack-small" },
      text,
      h(
        "div",
        {},
        button(
          "Copy with the key in use",
          () => copyText(text.textContent.replace(HIDDEN, () => session.key ?? HIDDEN)),
          { size: "small", label: `Copy the ${title} example with the key in use` },
        ),
      ),
    ),
  );

/** A value as a literal of JSON, or of a language with other `words` for true, false and null. */
function literal(value, { words = {}, step = "  ", indent = "" } = {}) {
  if (value === null || typeof value !== "object") {
    const text = JSON.stringify(value);
    return words[text] ?? text;
  }
  const inner = indent + step;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const items = Object.entries(value).map(([name, each]) => {
    const item = literal(each, { words, step, indent: inner });
    return Array.isArray(value) ? item : `${JSON.stringify(name)}: ${item}`;
  });
  const line = open + items.join(", ") + close;
  if (line.length <= MAX_LINE && !line.includes("\n")) return line;
  return `${open}\n${items.map((item) => inner + item).join(",\n")}\n${indent}${close}`;
}

const shellText = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;
