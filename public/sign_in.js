// Signing in with a key, at the start and when the key is no longer valid.

import { ApiError, identify } from "./api.js";
import { h, replace } from "./dom.js";
import { openDialog } from "./parts/dialog.js";
import { form } from "./parts/form.js";
import { errorPanel } from "./parts/loading.js";
import { keepSession } from "./session.js";

const FIELDS = [
  {
    name: "key",
    label: "API key",
    type: "password",
    required: true,
    autocomplete: "current-password",
    help: "Administrators create keys under “API keys & users”. Locally, npm start prints one.",
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
      h("p", { class: "muted" }, "Routes each request to the right agent, at the edge."),
    ),
    error ? errorPanel(error) : null,
    keyForm("Sign in", onSignedIn),
  );
  replace(document.getElementById("app"), h("div", { class: "sign-in" }, card));
  card.querySelector("input").focus();
}

/** Asks in a dialog over the current screen; rejects if the user cancels. */
export function requestKey(error) {
  return new Promise((resolve, reject) => {
    let signedIn = false;
    const dialog = openDialog({
      title: "Sign in again",
      body: [
        h("p", {}, error.message),
        h(
          "p",
          { class: "muted" },
          "Your input is kept, and the action continues after you sign in.",
        ),
        keyForm("Sign in and continue", () => {
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
    guarded: false,
    async onSubmit({ key: typed }) {
      const key = typed.trim();
      if (!/^[\x21-\x7e]+$/.test(key)) {
        const options = { status: 400, param: "key" };
        throw new ApiError("A key has no spaces or special characters. Copy all of it.", options);
      }
      keepSession(key, await identify(key));
      await onSignedIn();
    },
  });
}
