// Addresses: "#/logs/dec_1?layer=llm" names a screen, a path within it and its state.

/** Where the address leads; to the screen `first` where it names none. */
export function place(first) {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [screen, ...rest] = path.split("/").map(decoded);
  return {
    screen: screen || first,
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

/** The address of a place; of `query` what is empty is left out. */
export function address(parts, query = {}) {
  const path = parts.map(encodeURIComponent).join("/");
  return `#/${path}${queryString(query)}`;
}

/** With its question mark; what is empty is left out. */
export function queryString(query = {}) {
  const given = Object.entries(query).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

export function go(parts, query) {
  location.hash = address(parts, query);
}

/** Changes the state in the address without opening the screen anew. */
export function noteState(parts, query) {
  history.replaceState(null, "", address(parts, query));
}
