// The one way from the pages to the API.

import { queryString } from "./router.js";
import { renewSession, session } from "./session.js";

const MAX_MS = 60_000;
const AWAY = "The server could not be reached. Check the connection, then try again.";
const SLOW = "The server has not answered for a minute. Try again.";

/** What went wrong, to be shown as it is. `status` 0: no answer came. `details` is the answer. */
export class ApiError extends Error {
  constructor(
    message,
    { status = 0, code = null, param = null, requestId = null, details = {} } = {},
  ) {
    super(message);
    Object.assign(this, { status, code, param, requestId, details });
  }
}

/**
 * Calls the API and returns its JSON. A key that holds no more is asked for anew, and the call then
 * goes on: nothing that was typed is lost. Of `query` what is empty is left out; `once` is the
 * Idempotency-Key under which a POST may be sent again. Throws ApiError, or the signal's AbortError.
 */
export async function api(method, path, options = {}) {
  return content(await call(method, path, options));
}

/** The same for an answer that is no JSON. */
export const call = (method, path, options = {}) =>
  authorised((key) => send(method, path, options, key));

/** Sends a form with files, telling `onProgress` the share that is out. */
export async function upload(path, form, { onProgress, signal } = {}) {
  return content(await authorised((key) => sendForm(path, form, key, onProgress, signal)));
}

/** What `ask(key)` brings, asked again under a new key where the session's holds no more. */
async function authorised(ask) {
  for (;;) {
    const key = session.key;
    const response = await ask(key);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (response.status !== 401) throw error;
    await renewSession(error, key);
  }
}

function content(response) {
  return response.json().catch(() => {
    throw new ApiError("The server's answer could not be read. Try again.");
  });
}

/** Asks who a key belongs to, whatever the session's is; without a key Cloudflare Access may know. */
export async function identify(key) {
  const response = await send("GET", "/v1/me", {}, key);
  if (!response.ok) throw await errorOf(response);
  return response.json();
}

/** All items of a list, page by page, at most `most`. */
export async function everything(path, { query = {}, most = 1000, signal } = {}) {
  const items = [];
  let after = null;
  do {
    const page = await api("GET", path, { query: { ...query, limit: 100, after }, signal });
    items.push(...page.data);
    after = page.has_more ? page.last_id : null;
  } while (after !== null && items.length < most);
  return items;
}

async function send(method, path, { body, query, signal, once, type }, key) {
  const headers = {};
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = type ?? "application/json";
  if (once) headers["idempotency-key"] = once;
  const patience = AbortSignal.timeout(MAX_MS);
  try {
    return await fetch(path + queryString(query), {
      method,
      headers,
      body: body === undefined || type ? body : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new ApiError(error.name === "TimeoutError" ? SLOW : AWAY);
  }
}

function sendForm(path, form, key, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of what is out
    request.open("POST", path);
    if (key) request.setRequestHeader("authorization", `Bearer ${key}`);
    request.upload.onprogress = (event) =>
      onProgress?.(event.total ? event.loaded / event.total : 0);
    request.onload = () => {
      const headers = { "x-request-id": request.getResponseHeader("x-request-id") ?? "" };
      resolve(new Response(request.responseText, { status: request.status, headers }));
    };
    request.onerror = () => reject(new ApiError(AWAY));
    request.onabort = () => reject(signal.reason);
    signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

async function errorOf(response) {
  const answer = await response.json().catch(() => ({}));
  const { message, code, param } = answer.error ?? {};
  const { status } = response;
  return new ApiError(message ?? `The server answered ${status}. Try again in a moment.`, {
    status,
    code,
    param,
    requestId: answer.request_id ?? response.headers.get("x-request-id"),
    details: answer,
  });
}
