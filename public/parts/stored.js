// What this browser keeps, as JSON in localStorage.

/** `otherwise` where nothing is kept, or what another version wrote cannot be read. */
export function readStored(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** An empty list is not kept. Throws where there is no room. */
export function writeStored(name, value) {
  if (value.length === 0) localStorage.removeItem(name);
  else localStorage.setItem(name, JSON.stringify(value));
}
