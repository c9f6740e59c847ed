// A slider over the points of a curve, with what the chosen one comes to.

import { h, replace } from "../dom.js";
import { field } from "./form.js";

/**
 * `write(point)` is the value that the slider shows, `describe(point)` what is shown below it. It begins
 * at the point `start`; `onChange(point)` is called now and on every move. `chosen()` is the point.
 */
export function pointSlider({
  name,
  label,
  help,
  points,
  start,
  write,
  describe,
  onChange = () => {},
}) {
  const result = h("div", { class: "stack", "aria-live": "polite" });
  const slider = field({
    name,
    label,
    type: "range",
    min: 0,
    max: points.length - 1,
    step: 1,
    value: points.indexOf(start),
    format: (at) => write(points[at]),
    help,
  });
  const chosen = () => points[slider.value()];
  const update = () => {
    replace(result, describe(chosen()));
    onChange(chosen());
  };
  slider.element.addEventListener("input", update);
  update();
  return {
    element: h("div", { class: "stack" }, slider.element, result),
    chosen,
    focus: slider.focus,
  };
}
