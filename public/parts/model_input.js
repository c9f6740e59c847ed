// What a model is sent for a query: the prompt, or the questions to a decision model.

import { h } from "../dom.js";
import { NOTHING, words } from "../format.js";
import { table } from "./table.js";

/** {title, content} of the input; null if it is not known. */
export function modelInput({ messages, questions, state }) {
  if (questions) return { title: "Question", content: [...asked(questions), stateText(state)] };
  if (messages) return { title: "Prompt", content: prompt(messages) };
  return null;
}

const prompt = (messages) =>
  messages.map(({ role, content }) => block(words(role), h("pre", { tabindex: "0" }, content)));

const asked = (questions) =>
  Object.entries(questions).map(([id, { type, instructions, criteria }]) =>
    block(
      `${words(id)} (${type === "choice" ? "choice" : "yes or no"})`,
      h("p", {}, instructions),
      table({
        caption: `${words(id)}: ${type === "choice" ? "options" : "answers"}`,
        hideCaption: true,
        rows: Object.entries(criteria),
        columns: [
          {
            head: type === "choice" ? "Option" : "Answer",
            cell: ([option]) => (type === "choice" ? option : YES_NO[option]),
            heading: true,
          },
          { head: "Description", cell: ([, text]) => text ?? NOTHING, kind: "wide" },
        ],
      }),
    ),
  );

const YES_NO = { true: "yes", false: "no" };

const stateText = (state) =>
  state === null || state === undefined ? null : block("State", h("pre", { tabindex: "0" }, state));

const block = (title, ...content) =>
  h("div", { class: "stack-small" }, h("h3", {}, title), content);
