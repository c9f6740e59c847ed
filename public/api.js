// All calls of the API go through this module.

import { inPageWords } from "./parts/page_words.js";
import { queryString } from "./router.js";
import { renewSession, session } from "./session.js";

const BOOKMARK = "x-edgeneuro-bookmark";
const TIMEOUT_MS = 60_000;
const UNREACHABLE = "The server could not be reached. Check the connection, then try again.";
const TIMED_OUT = "The server did not respond within a minute. Try again.";

/**
 * An error whose message is shown to the user. `status` 0: no response. `details`: the response. `retryAfter`: the
 * seconds after which the same request may succeed; null if it will not, or nobody knows.
 */
export class ApiError extends Error {
  constructor(
    message,
    {
      status = 0,
      code = null,
      param = null,
      requestId = null,
      details = {},
      retryAfter = null,
    } = {},
  ) {
    super(message);
    Object.assign(this, { status, code, param, requestId, details, retryAfter });
  }
}

/**
 * Calls the API and returns its JSON. If the key is no longer valid, the user is asked for another
 * one and the call is sent again, so typed text is not lost. Empty values of `query` are left out;
 * `idempotencyKey` allows a POST to be repeated; a call with `keepalive` goes on after the page is
 * closed (its body: at most 64 KB). Throws ApiError, or the signal's AbortError.
 */
export async function api(method, path, options = {}) {
  return content(await call(method, path, options));
}

/** The same for a response that is not JSON. */
export const call = (method, path, options = {}) =>
  authorized((key) => send(method, path, options, key));

/** Sends a form with files; calls `onProgress` with the share that was sent. */
export async function upload(path, form, { query, onProgress, signal } = {}) {
  const address = path + queryString(query);
  return content(await authorized((key) => sendForm(address, form, key, onProgress, signal)));
}

/** The response to `request(key)`, sent again with a new key if the session's key is refused. */
async function authorized(request) {
  for (;;) {
    const key = session.key;
    const response = await request(key);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (response.status !== 401) throw error;
    await renewSession(error, key);
  }
}

function content(response) {
  return response.json().catch(() => {
    throw new ApiError("The server's response could not be read. Try again.");
  });
}

/** The caller of this key, independent of the session; without a key the Cloudflare Access user. */
export async function identify(key) {
  const response = await send("GET", "/v1/me", {}, key);
  if (!response.ok) throw await errorOf(response);
  return response.json();
}

/** All items of a list, read page by page, up to `limit`. */
export async function listAll(path, { query = {}, limit = 1000, signal } = {}) {
  const items = [];
  let after = null;
  do {
    const page = await api("GET", path, { query: { ...query, limit: 100, after }, signal });
    items.push(...page.data);
    after = page.has_more ? page.last_id : null;
  } while (after !== null && items.length < limit);
  return items;
}

/**
 * Stands for the newest state of the database that a response has shown or made. The next request may read a
 * replica, but none that is older.
 */
let bookmark = "first-unconstrained";

/** Bookmarks sort from older to newer; responses may come out of order. */
function advance(newer) {
  if (newer && (bookmark.startsWith("first-") || newer > bookmark)) bookmark = newer;
}

async function send(
  method,
  path,
  { body, query, signal, idempotencyKey, type, keepalive = false },
  key,
) {
  const headers = {};
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = type ?? "application/json";
  if (idempotencyKey) headers["idempotency-key"] = idempotencyKey;
  headers[BOOKMARK] = bookmark;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(path + queryString(query), {
      method,
      headers,
      body: body === undefined || type ? body : JSON.stringify(body),
      keepalive,
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    advance(response.headers.get(BOOKMARK));
    return response;
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new ApiError(error.name === "TimeoutError" ? TIMED_OUT : UNREACHABLE);
  }
}

function sendForm(path, form, key, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch reports no upload progress
    request.open("POST", path);
    if (key) request.setRequestHeader("authorization", `Bearer ${key}`);
    request.setRequestHeader(BOOKMARK, bookmark);
    request.upload.onprogress = (event) =>
      onProgress?.(event.total ? event.loaded / event.total : 0);
    request.onload = () => {
      advance(request.getResponseHeader(BOOKMARK));
      const headers = { "x-request-id": request.getResponseHeader("x-request-id") ?? "" };
      resolve(new Response(request.responseText, { status: request.status, headers }));
    };
    request.onerror = () => reject(new ApiError(UNREACHABLE));
    request.onabort = () => reject(signal.reason);
    signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

async function errorOf(response) {
  const body = await response.json().catch(() => ({}));
  const { message, code, param } = body.error ?? {};
  const { status } = response;
  return new ApiError(
    inPageWords(message) ?? `The server answered ${status}. Try again in a moment.`,
    {
      status,
      code,
      param,
      requestId: body.request_id ?? response.headers.get("x-request-id"),
      details: body,
      retryAfter: retryAfter(response.headers),
    },
  );
}

/** A budget that is used up says when it is reset, but is not worth waiting for. */
function retryAfter(headers) {
  const seconds = Number.parseInt(headers.get("retry-after"), 10);
  return headers.get("x-should-retry") === "false" || Number.isNaN(seconds) ? null : seconds;
}
