// env.AI without Cloudflare: a service binding whose run() speaks to `python -m local` and answers
// as the real binding does. Errors: raw answers keep status and code, run() throws "<code>: <text>".

import { WorkerEntrypoint } from "cloudflare:workers";

const ACCOUNT = "local";
const INTERNAL = { code: 3043, message: "Internal server error: the local AI server is away" };
const KEPT_HEADERS = /^(content-type|retry-after|x-local-engine|cf-aig-.*)$/;

export default class LocalAi extends WorkerEntrypoint {
  async fetch() {
    return new Response("Not found\n", { status: 404 });
  }

  async run(model, inputs, options) {
    const given = options ?? {};
    const answer = await ask(this.env.LOCAL_AI_ORIGIN, model, inputs, given);
    if (given.returnRawResponse) return answer;
    if (!answer.ok) throw upstreamError(await answer.text());
    return answer.headers.get("content-type") === "application/json" ? answer.json() : answer.body;
  }

  async models(params) {
    return catalogue(this.env.LOCAL_AI_ORIGIN, params ?? {});
  }
}

async function catalogue(origin, params) {
  const query = new URLSearchParams(params);
  const answer = await fetch(`${origin}/client/v4/accounts/${ACCOUNT}/ai/models/search?${query}`);
  if (!answer.ok) throw upstreamError(unwrapped(await answer.text(), answer.status));
  return (await answer.json()).result;
}

async function ask(origin, model, inputs, options) {
  try {
    const answer = await fetch(origin + path(model, options.gateway), {
      method: "POST",
      headers: requestHeaders(options),
      body: JSON.stringify(inputs),
      signal: options.signal,
    });
    return bindingResponse(answer, await answer.text());
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return Response.json(errorBody(INTERNAL, 500), { status: 500 });
  }
}

function path(model, gateway) {
  const name = String(model).split("/").map(encodeURIComponent).join("/");
  return gateway?.id
    ? `/v1/${ACCOUNT}/${encodeURIComponent(gateway.id)}/workers-ai/${name}`
    : `/client/v4/accounts/${ACCOUNT}/ai/run/${name}`;
}

function requestHeaders({ gateway = {}, extraHeaders = {} }) {
  const headers = new Headers({ "content-type": "application/json" });
  const wanted = {
    "cf-aig-skip-cache": gateway.skipCache,
    "cf-aig-cache-ttl": gateway.cacheTtl,
    "cf-aig-cache-key": gateway.cacheKey,
    "cf-aig-metadata": gateway.metadata && JSON.stringify(gateway.metadata),
    "cf-aig-collect-log": gateway.collectLog,
    "cf-aig-event-id": gateway.eventId,
    "cf-aig-request-timeout": gateway.requestTimeoutMs,
    "cf-aig-max-attempts": gateway.retries?.maxAttempts,
    "cf-aig-retry-delay": gateway.retries?.retryDelayMs,
    "cf-aig-backoff": gateway.retries?.backoff,
    ...extraHeaders,
  };
  for (const [name, value] of Object.entries(wanted)) {
    if (value !== undefined && value !== null) headers.set(name, String(value));
  }
  return headers;
}

// REST wraps what the binding gets bare; what is neither (a broken body, plain text) stays as it is.
function bindingResponse(answer, text) {
  const headers = new Headers([...answer.headers].filter(([name]) => KEPT_HEADERS.test(name)));
  return new Response(unwrapped(text, answer.status), { status: answer.status, headers });
}

function unwrapped(text, status) {
  const body = parsed(text);
  if (body?.success === true && "result" in body) return JSON.stringify(body.result);
  const error = body?.errors?.[0];
  return error ? JSON.stringify(errorBody(error, status)) : text;
}

function errorBody({ code, message }, httpCode) {
  const description = message.replace(/^(AiError: )+/, "").replace(/ \([0-9a-f-]{36}\)$/, "");
  const inner = { name: "AiError", internalCode: code, httpCode };
  return { ...inner, message: `AiError: ${message.replace(/^(AiError: )+/, "")}`, description };
}

function upstreamError(text) {
  const body = parsed(text);
  const error = new Error(body?.internalCode ? `${body.internalCode}: ${body.description}` : text);
  error.name = body?.name ?? "InferenceUpstreamError";
  return error;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
