// Signing in with a key, at the start and when the key holds no more.

import { ApiError, identify } from "./api.js";
import { h, replace } from "./dom.js";
import { openDialog } from "./parts/dialog.js";
import { form } from "./parts/form.js";
import { errorPanel } from "./parts/loading.js";
import { keepSession } from "./session.js";

const FIELDS = [
  {
    name: "key",
    label: "Key",
    type: "password",
    required: true,
    autocomplete: "current-password",
    help: "An administrator makes keys under Keys and users. On your own machine npm start prints one.",
  },
];

export function showSignIn(onSignedIn, error = null) {
  document.title = "Sign in · EdgeNeuro";
  const card = h(
    "main",
    { class: "card stack" },
    h(
      "div",
      {},
      h("h1", { class: "brand" }, h("img", { src: "icon.svg", alt: "" }), "EdgeNeuro"),
      h("p", { class: "soft" }, "Decides at the edge which agent answers."),
    ),
    error ? errorPanel(error) : null,
    keyForm("Sign in", onSignedIn),
  );
  replace(document.getElementById("app"), h("div", { class: "sign-in" }, card));
  card.querySelector("input").focus();
}

/** Over the screen as it stands; rejects where the user gives no key. */
export function askForKeyAgain(error) {
  return new Promise((resolve, reject) => {
    let signedIn = false;
    const dialog = openDialog({
      title: "Sign in again",
      body: [
        h("p", {}, error.message),
        h(
          "p",
          { class: "soft" },
          "Everything that you have typed is still there; what you did goes on.",
        ),
        keyForm("Sign in and go on", () => {
          signedIn = true;
          dialog.close();
        }),
      ],
      onClose: () => (signedIn ? resolve() : reject(error)),
    });
  });
}

function keyForm(action, onSignedIn) {
  return form({
    fields: FIELDS,
    action,
    async onSubmit({ key: typed }) {
      const key = typed.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) {
        const told = { status: 400, param: "key" };
        throw new ApiError("A key has no spaces and no special characters. Copy it whole.", told);
      }
      keepSession(key, await identify(key));
      await onSignedIn();
    },
  });
}
