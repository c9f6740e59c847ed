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

/** The field of a form that chooses a router; none if there is only the default one. */
export const routerField = (routers, help) =>
  routers.length > 1
    ? [
        {
          name: "router",
          label: "Router",
          type: "select",
          value: DEFAULT_ROUTER,
          options: routerOptions(routers, null),
          help,
        },
      ]
    : [];
