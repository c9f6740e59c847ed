// The clipboard.

import { notice } from "./notice.js";

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    notice("Copied to the clipboard.");
  } catch {
    notice("The browser blocked the copy. Select the text and copy it.");
  }
}
