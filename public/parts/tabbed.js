// Screens with tabs; each tab has its own address.

import { h, replace } from "../dom.js";
import { address } from "../router.js";
import { pageHead, tabs } from "./controls.js";

/**
 * Opens the tab that the page's path names, else the first one. `views` are [title, path, open];
 * open(page, container) fills the container. The path of the first one is "".
 */
export async function openTab(page, screen, title, text, views) {
  const [path = ""] = page.path;
  const at = (each) => address(each === "" ? [screen] : [screen, each]);
  const [name, current, open] = views.find((view) => view[1] === path) ?? views[0];
  if (current !== "") page.setTab(name);
  const container = h("div", { class: "stack" });
  replace(
    page.root,
    pageHead(title, text),
    tabs(
      title,
      at(current),
      views.map(([each, part]) => [each, at(part)]),
    ),
    container,
  );
  await open(page, container);
}
