// The one way from the pages to the API. Throws an Error whose message can be shown as it is.

export async function api(method, path, { key, body } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Error("The server could not be reached. Check the connection and try again.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    const said = answer.error?.message ?? `The server answered ${response.status}.`;
    throw new Error(`${said} (request ${response.headers.get("x-request-id") ?? "unknown"})`);
  }
  return answer;
}
