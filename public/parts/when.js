// A time in a table: how long ago, with the exact time on hover.

import { h } from "../dom.js";
import { ago, NOTHING, time } from "../format.js";

export const when = (text) =>
  text ? h("time", { datetime: text, title: time(text) }, ago(text)) : NOTHING;
