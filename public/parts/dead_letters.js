// Dead letters: requests that are missing in the logs because the database refused their rows.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { plural, time } from "../format.js";
import { actionButton, button } from "./controls.js";
import { confirm } from "./dialog.js";
import { idText } from "./ids.js";
import { notice } from "./notice.js";

const MAX_SHOWN = 100;

/** A panel with the letters; nothing where there are none. `signal` ends its requests. */
export async function deadLetters({ signal, may }) {
  const root = h("div", {});
  const show = async () => {
    const found = await api("GET", "/v1/dead_letters", { query: { limit: MAX_SHOWN }, signal });
    replace(root, found.data.length ? panel(found, may, show) : null);
  };
  await show();
  return root;
}

function panel({ data, has_more: more }, may, show) {
  const count = more ? `More than ${MAX_SHOWN} requests` : plural(data.length, "request");
  return h(
    "div",
    {
      class: "panel stack-small",
      "data-kind": "bad",
      role: "region",
      "aria-label": "Dead letters",
    },
    h(
      "p",
      {},
      `${count} could not be logged: the database refused the rows. They are kept as long as log rows.`,
    ),
    h(
      "details",
      {},
      h("summary", {}, "Show"),
      h(
        "ul",
        {},
        data.map((letter) =>
          h(
            "li",
            {},
            `${time(letter.failed_at)} `,
            idText(letter.id),
            ` ${letter.row?.query ?? ""} `,
            h("span", { class: "muted" }, letter.error),
          ),
        ),
      ),
    ),
    may("admin")
      ? h("div", { class: "row" }, [
          actionButton("Retry", async () => {
            const { written, left } = await api("POST", "/v1/dead_letters/retry");
            notice(`${plural(written, "request")} logged, ${left} left.`);
            await show();
          }),
          button("Delete", () => remove(show), { kind: "danger" }),
        ])
      : null,
  );
}

async function remove(show) {
  const gone = await confirm({
    title: "Delete the dead letters?",
    body: "These requests will be in no log and no sum.",
    action: "Delete",
    danger: true,
    act: () => api("DELETE", "/v1/dead_letters"),
  });
  if (!gone) return;
  notice(`${plural(gone.deleted, "dead letter")} deleted.`);
  await show();
}
