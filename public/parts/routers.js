// Routers: their list and select options, for all screens.

import { api } from "../api.js";

export const DEFAULT_ROUTER = "default";

/** All routers, the default one first; the list has one page. */
export const readRouters = async (signal) => (await api("GET", "/v1/routers", { signal })).data;

export const routerName = (router) => router.name ?? router.id;

/** Options of a select after the options `first`; a router that is gone stays an option. */
export function routerOptions(routers, current, ...first) {
  const known = routers.map((router) => [router.id, routerName(router)]);
  const gone = current && !routers.some((router) => router.id === current);
  return [...first, ...known, ...(gone ? [[current, current]] : [])];
}
