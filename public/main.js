// Starts the pages: signs the user in, then opens the screen that the address names.

import { identify } from "./api.js";
import { keepSession, keyFromOtherTab, session, setSessionHandlers } from "./session.js";
import { closeShell, showShell } from "./shell.js";
import { requestKey, showSignIn } from "./sign_in.js";
import { applyTheme } from "./theme.js";

const NO_KEY = "invalid_api_key"; // also sent when no key was given

applyTheme();
setSessionHandlers({
  ask: requestKey,
  signedOut() {
    closeShell();
    showSignIn(start);
  },
});
await start();

async function start() {
  if (session.caller === null) {
    const key = session.key ?? (await keyFromOtherTab());
    try {
      await identifyWith(key);
    } catch (error) {
      // A missing key is no error yet. Other errors are shown, such as those of Cloudflare Access.
      showSignIn(start, key === null && error.code === NO_KEY ? null : error);
      return;
    }
  }
  showShell();
  if (localStorage.getItem("edgeneuro.unsaved_labels"))
    (await import("./parts/unsaved_labels.js")).resume();
}

/** Signs in with the key, and if the key is not valid with the Cloudflare Access session. */
async function identifyWith(key) {
  try {
    keepSession(key, await identify(key));
  } catch (error) {
    if (key === null || error.status !== 401) throw error;
    const caller = await identify(null).catch(() => {
      throw error;
    });
    keepSession(null, caller);
  }
}
