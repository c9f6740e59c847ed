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
  const [, current, open] = views.find((view) => view[1] === path) ?? views[0];
  const container = h("div", { class: "stack" });
  replace(
    page.root,
    pageHead(title, text),
    tabs(
      title,
      at(current),
      views.map(([name, each]) => [name, at(each)]),
    ),
    container,
  );
  await open(page, container);
}
