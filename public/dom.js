// Creates elements without HTML strings: every string becomes a text node or an attribute value.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Creates an element. An attribute `on…` adds a listener; `true` is set without a value; `false`,
 * null and undefined are not set; `value`, `checked`, `indeterminate` and `selected` are properties.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...nodes(children));
  return element;
}

/** The same for SVG elements. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...nodes(children));
  return element;
}

const PROPERTIES = new Set(["value", "checked", "indeterminate", "selected", "files"]);

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (PROPERTIES.has(name)) element[name] = value;
  else element.setAttribute(name, value === true ? "" : String(value));
}

/** Flattens children: nodes, strings, numbers, lists of them; null, undefined and false are dropped. */
function nodes(children) {
  return children
    .flat(Infinity)
    .filter((child) => child !== null && child !== undefined && child !== false);
}

export function replace(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

export function icon(name) {
  return s(
    "svg",
    { class: "icon", "aria-hidden": "true" },
    s("use", { href: `icons.svg#${name}` }),
  );
}

let lastId = 0;

/** An id that is unique on the page. */
export function newId(prefix) {
  lastId += 1;
  return `${prefix}-${lastId}`;
}
