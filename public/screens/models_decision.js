// The recommendation of a decision model while a text model is active.

import { h } from "../dom.js";
import { usd } from "../format.js";
import { button, link } from "../parts/controls.js";
import { select } from "./models_select.js";

const RECOMMENDED = "@cf/cloudflare/clef-omni";
const CHEAPER = "@cf/cloudflare/clef-flash";

/** Null if a decision model is active already, or the recommended one cannot be selected. */
export function recommendation(models, selection, { may, show, signal }) {
  const served = (id) =>
    models.find((one) => one.id === id && one.status === "available" && !one.deprecated);
  const model = served(RECOMMENDED);
  const active = models.find((one) => one.id === selection.active);
  if (!may("admin") || !model || active?.type === "decision") return null;
  const cheaper = served(CHEAPER);
  const pair = encodeURIComponent([selection.active, model.id].join("\n"));
  return h(
    "section",
    { class: "panel", "data-kind": "accent", "aria-labelledby": "recommended-model" },
    h("h2", { id: "recommended-model" }, "Recommended for production: a decision model"),
    h(
      "p",
      {},
      `${model.id} gives a probability for every agent and writes no text. ${price(model)}`,
    ),
    cheaper
      ? h(
          "p",
          {},
          `${shortName(cheaper)} is cheaper${cheaper.pricing ? ` (${usd(cheaper.pricing.input_per_million)})` : ""}, and weak where many agents meet out-of-scope queries (vendor's figures).`,
        )
      : null,
    h(
      "div",
      { class: "row" },
      button(`Use ${shortName(model)}`, () => select(model, selection, models, show, signal), {
        kind: "main",
        size: "small",
      }),
      link("Evaluate both", `#/evaluations?models=${pair}`, { size: "small" }),
    ),
  );
}

const shortName = ({ id }) => id.split("/").at(-1);

function price({ pricing }) {
  if (!pricing) return "Its price is not known.";
  const output = pricing.output_per_million
    ? `${usd(pricing.output_per_million)} per million output tokens`
    : "output free";
  return `It costs ${usd(pricing.input_per_million)} per million input tokens, ${output}.`;
}
