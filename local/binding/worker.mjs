// env.AI and env.OUTBOUND without Cloudflare: a service binding that speaks to `python -m local` and
// answers as the real things do. Errors: raw answers keep status and code, run() throws
// "<code>: <text>", and a fetch of what cannot be reached throws as workerd does.

import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";

const ACCOUNT = "local";
const INTERNAL = {
  code: 3043,
  message: "Internal server error: the local AI server does not answer",
};
const KEPT_HEADERS = /^(content-type|retry-after|x-local-engine|cf-aig-.*)$/;
const EVENT_STREAM = /^text\/event-stream/;
const HOP_HEADERS = ["host", "connection", "content-length", "transfer-encoding"];
// What workerd says where there is no such host, and where nobody takes the call.
const FAILURES = { dns: "internal error", refuse: "Network connection lost." };

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

  gateway(id) {
    return new Gateway(this.env.LOCAL_AI_ORIGIN, id);
  }
}

// env.OUTBOUND: any HTTPS call. An entrypoint of its own, because `wrangler dev` turns what the default
// one throws into an answer with status 500.
export class Outbound extends WorkerEntrypoint {
  async fetch(request) {
    const url = new URL(request.url);
    const headers = new Headers(request.headers);
    for (const name of HOP_HEADERS) headers.delete(name);
    const target = `${this.env.LOCAL_AI_ORIGIN}/_outbound/${url.host}${url.pathname}${url.search}`;
    const { method, body, signal } = request;
    const answer = await fetch(target, { method, headers, body, signal, redirect: "manual" });
    const failure = answer.headers.get("x-local-failure");
    if (failure) throw new Error(FAILURES[failure]);
    return new Response(answer.body, answer);
  }
}

class Gateway extends RpcTarget {
  #id;
  #logs;

  constructor(origin, id) {
    super();
    this.#id = encodeURIComponent(id);
    this.#logs = `${origin}/client/v4/accounts/${ACCOUNT}/ai-gateway/gateways/${this.#id}/logs`;
  }

  async getLog(logId) {
    const { result } = await this.#log(logId, { method: "GET" });
    return { ...result, created_at: new Date(result.created_at) };
  }

  async patchLog(logId, fields) {
    await this.#log(logId, { method: "PATCH", body: JSON.stringify(fields) });
  }

  async getUrl(provider) {
    const base = `https://gateway.ai.cloudflare.com/v1/${ACCOUNT}/${this.#id}/`;
    return provider ? `${base}${provider}/` : base;
  }

  async #log(logId, options) {
    const answer = await fetch(`${this.#logs}/${encodeURIComponent(logId)}`, options);
    const text = await answer.text();
    if (answer.ok) return JSON.parse(text);
    const error = new Error(parsed(text)?.errors?.[0]?.message ?? text);
    error.name = answer.status === 404 ? "AiGatewayLogNotFound" : "AiGatewayInternalError";
    throw error;
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
    return await bindingResponse(answer);
  } catch (error) {
    if (options.signal?.aborted) throw error;
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
// A stream passes as it comes: whoever cancels it hangs up on the model.
async function bindingResponse(answer) {
  const { status } = answer;
  const headers = new Headers([...answer.headers].filter(([name]) => KEPT_HEADERS.test(name)));
  const isStream = EVENT_STREAM.test(answer.headers.get("content-type"));
  const body = isStream ? answer.body : unwrapped(await answer.text(), status);
  return new Response(body, { status, headers });
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
