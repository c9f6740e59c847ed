// Addresses: "#/logs/dec_1?layer=llm" has a screen, a path within it and its state.

const RENAMED = { labelling: "labeling" }; // bookmarks of earlier versions

/** The screen, path and state of the address; the screen `first` if it names none. */
export function currentRoute(first) {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [screen, ...rest] = path.split("/").map(decoded);
  return {
    screen: RENAMED[screen] ?? (screen || first),
    path: rest.filter(Boolean),
    query: new URLSearchParams(query),
  };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a screen; empty values of `query` are left out. */
export function address(parts, query = {}) {
  const path = parts.map(encodeURIComponent).join("/");
  return `#/${path}${queryString(query)}`;
}

/** A query string with its question mark; empty values are left out. */
export function queryString(query = {}) {
  const given = Object.entries(query).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export function go(parts, query) {
  location.hash = address(parts, query);
}

/** Changes the state in the address without opening the screen again. */
export function saveState(parts, query) {
  history.replaceState(null, "", address(parts, query));
}

/** The same, with a step back to the state before. */
export function addState(parts, query) {
  history.pushState(null, "", address(parts, query));
}
