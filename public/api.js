// The one way from the pages to the API.

import { renewSession, session } from "./session.js";

const MOST_MS = 60_000;
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
  return (await call(method, path, options)).json().catch(() => {
    throw new ApiError("The server's answer could not be read. Try again.");
  });
}

/** The same for an answer that is no JSON. */
export async function call(method, path, options = {}) {
  for (;;) {
    const key = session.key;
    const response = await send(method, path, options, key);
    if (response.ok) return response;
    const error = await errorOf(response);
    if (response.status !== 401) throw error;
    await renewSession(error, key);
  }
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

/** Sends a form with files, telling `onProgress` the share that is out. */
export async function upload(path, form, { onProgress, signal } = {}) {
  for (;;) {
    const key = session.key;
    const { status, text, requestId } = await sendForm(path, form, key, onProgress, signal);
    const answer = parsed(text);
    if (status >= 200 && status < 300) return answer;
    const error = errorFrom(status, answer, requestId);
    if (status !== 401) throw error;
    await renewSession(error, key);
  }
}

async function send(method, path, { body, query, signal, once, type }, key) {
  const headers = {};
  if (key) headers.authorization = `Bearer ${key}`;
  if (body !== undefined) headers["content-type"] = type ?? "application/json";
  if (once) headers["idempotency-key"] = once;
  const patience = AbortSignal.timeout(MOST_MS);
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

function queryString(query = {}) {
  const given = Object.entries(query).filter(
    ([, value]) => value !== null && value !== undefined && value !== "",
  );
  return given.length ? `?${new URLSearchParams(given)}` : "";
}

function sendForm(path, form, key, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch tells nothing of what is out
    request.open("POST", path);
    if (key) request.setRequestHeader("authorization", `Bearer ${key}`);
    request.upload.onprogress = (event) =>
      onProgress?.(event.total ? event.loaded / event.total : 0);
    request.onload = () =>
      resolve({
        status: request.status,
        text: request.responseText,
        requestId: request.getResponseHeader("x-request-id"),
      });
    request.onerror = () => reject(new ApiError(AWAY));
    request.onabort = () => reject(signal.reason);
    signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}

async function errorOf(response) {
  return errorFrom(
    response.status,
    parsed(await response.text()),
    response.headers.get("x-request-id"),
  );
}

function errorFrom(status, answer, requestId) {
  const { message, code, param } = answer.error ?? {};
  return new ApiError(message ?? `The server answered ${status}. Try again in a moment.`, {
    status,
    code,
    param,
    requestId: answer.request_id ?? requestId,
    details: answer,
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}
