// Who is signed in, the theme, and signing out.

import { h, icon } from "../dom.js";
import { session, signOut } from "../session.js";
import { switchTheme, theme } from "../theme.js";
import { callerLabel } from "./callers.js";
import { mayLeave } from "./unsaved.js";

export function account() {
  return [
    h("span", { class: "account-name", title: session.caller.id }, callerName(session.caller)),
    themeButton(),
    session.key
      ? h(
          "button",
          { class: "button", "data-size": "small", type: "button", onclick: leave },
          "Sign out",
        )
      : null,
  ];
}

const callerName = ({ id, name, email }) => email ?? name ?? callerLabel(id);

export async function leave() {
  if (await mayLeave()) signOut();
}

function themeButton() {
  const show = () => {
    element.setAttribute("aria-label", `Theme: ${theme()}`);
    element.title = `Theme: ${theme()}`;
  };
  const element = h(
    "button",
    {
      class: "button",
      "data-kind": "plain",
      type: "button",
      onclick: () => {
        switchTheme();
        show();
      },
    },
    icon("theme"),
  );
  show();
  return element;
}
