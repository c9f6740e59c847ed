// Settings: current values, their source, and forms to change them.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { plural } from "../format.js";
import { setBusy } from "../parts/busy.js";
import { actionButton, badge, button, card, pageHead } from "../parts/controls.js";
import { confirm } from "../parts/dialog.js";
import { changed, field, read } from "../parts/form.js";
import { errorPanel, load } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { GROUPS } from "../parts/settings.js";
import { watchInput } from "../parts/unsaved.js";

const SOURCES = {
  stored: ["set here", "accent"],
  var: ["wrangler.toml", undefined],
  default: ["default", undefined],
};

export async function open({ root, signal, may }) {
  const body = h("div", { class: "stack" });
  replace(
    root,
    pageHead("Settings", "Values set here override wrangler.toml and apply to the next request."),
    body,
  );
  const show = () =>
    load(
      body,
      () => api("GET", "/v1/config", { signal }),
      (config) => [
        ...GROUPS.map(([title, settings]) => group(title, settings, config, may)),
        may("admin") ? cacheCard() : null,
      ],
      { signal },
    );
  await show();
}

function cacheCard() {
  const purge = async () => {
    const purged = await confirm({
      title: "Purge the cache?",
      body: h(
        "p",
        {},
        "All cached decisions and chat answers are deleted. Labels and settings are kept.",
      ),
      action: "Purge",
      act: () => api("DELETE", "/v1/cache"),
    });
    if (!purged) return;
    const { decisions, chats } = purged;
    notice(`Purged: ${plural(decisions, "decision")} and ${plural(chats, "chat answer")}.`);
  };
  return card(
    "Cache",
    h(
      "p",
      {},
      "Changes of agents, models and settings bypass old cache entries automatically. Purge the cache if a model itself has changed.",
    ),
    h("div", { class: "form-actions" }, button("Purge cache", purge)),
  );
}

/** A group redraws only itself, so that unsaved input in other groups is kept. */
function group(title, settings, config, may) {
  const redraw = (fresh) => element.replaceWith(group(title, settings, fresh, may));
  const errorBox = h("div", {});
  const fields = settings.map(([name, label, spec]) =>
    field({ ...spec, name, label, value: config[name].value, disabled: !may("admin") }),
  );
  const rows = fields.map((each) => {
    const { source } = config[each.spec.name];
    const [text, kind] = SOURCES[source];
    return h(
      "div",
      { class: "setting" },
      each.element,
      h(
        "div",
        { class: "row" },
        badge(text, kind),
        source === "stored" && may("admin")
          ? actionButton(
              "Reset",
              async () => {
                const body = { [each.spec.name]: null };
                redraw(await api("PATCH", "/v1/config", { body }));
                notice(`“${each.spec.label}” reset.`);
              },
              { size: "small", kind: "plain", label: `Reset ${each.spec.label}` },
            )
          : null,
      ),
    );
  });
  const save = h("button", { class: "button", "data-kind": "main" }, "Save");
  const submit = async (event) => {
    event.preventDefault();
    replace(errorBox);
    try {
      const before = settings.map(([name]) => [name, config[name].value]);
      const body = changed(read(fields), Object.fromEntries(before));
      if (!Object.keys(body).length) {
        notice("No changes.");
        return;
      }
      setBusy(save, true);
      redraw(await api("PATCH", "/v1/config", { body }));
      const reset = Object.values(body).includes(null);
      notice(`${title}: saved.${reset ? " Empty fields were reset." : ""}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      const invalid = fields.find((each) => each.spec.name === error.param);
      if (invalid) {
        invalid.show(error.message);
        invalid.focus();
      } else replace(errorBox, errorPanel(error));
    } finally {
      setBusy(save, false);
    }
  };
  const form = h(
    "form",
    { class: "form", novalidate: true, onsubmit: submit },
    rows,
    errorBox,
    may("admin") ? h("div", { class: "form-actions" }, save) : null,
  );
  watchInput(form, () => fields.map((each) => each.value()));
  const element = card(title, form);
  return element;
}
