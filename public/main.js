// The start: who is it, then the screen that the address names.

import { identify } from "./api.js";
import { keepSession, keyOfAnotherTab, session, setSessionHandlers } from "./session.js";
import { showShell } from "./shell.js";
import { askForKeyAgain, showSignIn } from "./sign_in.js";
import { applyTheme } from "./theme.js";

applyTheme();
setSessionHandlers({ ask: askForKeyAgain, signedOut: () => showSignIn(start) });
await start();

async function start() {
  if (session.caller === null) {
    const key = session.key ?? (await keyOfAnotherTab());
    try {
      keepSession(key, await identify(key)); // without a key: Cloudflare Access may know the user
    } catch (error) {
      showSignIn(start, key || error.status !== 401 ? error : null);
      return;
    }
  }
  showShell();
}
