// Views: named states of a screen's filters. Everybody has some; others are one's own, in this browser.

import { h, replace } from "../dom.js";
import { address } from "../router.js";
import { session } from "../session.js";
import { button } from "./controls.js";
import { confirm } from "./dialog.js";
import { stateText } from "./filters.js";
import { formDialog } from "./form.js";
import { notice } from "./notice.js";
import { readStored, writeStored } from "./stored.js";

const MAX_NAME = 40;

/**
 * Links to the views of a screen: `given` are [name, state], those of the signed-in user follow, each
 * with a button that deletes it. `state()` are the filters of now, which a button saves. Call `show()`
 * when they have changed.
 */
export function views({ screen, given, state }) {
  const element = h("nav", { class: "views", "aria-label": "Views" });
  const stored = `edgeneuro.views.${screen}.${session.caller?.id}`;
  const own = () => readStored(stored, []);
  const keep = (all) => {
    writeStored(stored, all);
    show();
  };
  const save = async () => {
    const filters = filled(state());
    const { name } =
      (await formDialog({
        title: "Save the filters as a view",
        fields: [
          {
            name: "name",
            label: "Name",
            required: true,
            maxlength: MAX_NAME,
            help: "Kept in this browser. A view of yours with the same name is replaced.",
          },
        ],
        onSubmit: (values) => values,
      })) ?? {};
    if (!name) return;
    keep([...own().filter((view) => view[0] !== name), [name, filters]]);
    notice(`View “${name}” saved.`);
  };
  const remove = async (name) => {
    const sure = await confirm({
      title: `Delete the view “${name}”?`,
      body: "The requests stay.",
      action: "Delete",
      danger: true,
      act: async () => true,
    });
    if (!sure) return;
    keep(own().filter((view) => view[0] !== name));
    element.querySelector("a").focus();
  };
  const show = () => {
    const now = stateText(state());
    const item = ([name, filters], removable) =>
      h(
        "li",
        {},
        h(
          "a",
          {
            href: address([screen], filters),
            "aria-current": stateText(filters) === now ? "true" : null,
          },
          name,
        ),
        removable
          ? button("×", () => remove(name), { kind: "plain", label: `Delete the view ${name}` })
          : null,
      );
    const mine = own();
    const known = [...given, ...mine].some(([, filters]) => stateText(filters) === now);
    replace(
      element,
      h(
        "ul",
        {},
        given.map((view) => item(view, false)),
        mine.map((view) => item(view, true)),
      ),
      known ? null : button("Save view", save, { size: "small" }),
    );
  };
  return { element, show };
}

const filled = (state) =>
  Object.fromEntries(Object.entries(state).filter(([, value]) => value !== null && value !== ""));
