// Calls env.AI and env.OUTBOUND as a Worker would, and tells what came of it.

const MODEL = "@cf/meta/llama-3.2-1b-instruct";
const MESSAGES = [{ role: "user", content: "hello" }];
const GATEWAY = { id: "edge", metadata: { agent: "it" } };
const RAW = { returnRawResponse: true, gateway: GATEWAY };
const AGENT = "https://agents.example.com/openai/it";

const CALLS = {
  async stream(env) {
    const answer = await env.AI.run(MODEL, { messages: MESSAGES, stream: true }, RAW);
    return { type: answer.headers.get("content-type"), text: await answer.text() };
  },

  async cancel(env) {
    const answer = await env.AI.run(MODEL, { messages: MESSAGES, stream: true }, RAW);
    return { first: await firstPart(answer) };
  },

  async signal(env) {
    const signal = AbortSignal.timeout(200);
    return env.AI.run(MODEL, { messages: MESSAGES }, { ...RAW, signal });
  },

  async feedback(env) {
    const extraHeaders = { "cf-aig-collect-log-payload": "false" };
    const answer = await env.AI.run(MODEL, { messages: MESSAGES }, { ...RAW, extraHeaders });
    await answer.text();
    const id = answer.headers.get("cf-aig-log-id");
    const gateway = env.AI.gateway("edge");
    await gateway.patchLog(id, { feedback: -1, score: 30 });
    return { log: await gateway.getLog(id), url: await gateway.getUrl("openai") };
  },

  async unknown_log(env) {
    await env.AI.gateway("edge").patchLog("none", { feedback: 1 });
  },

  async outbound(env) {
    const answer = await env.OUTBOUND.fetch(AGENT, chat({ "x-edgeneuro-signature": "t=1,v1=abc" }));
    return answer.json();
  },

  async outbound_cancel(env) {
    return { first: await firstPart(await env.OUTBOUND.fetch(AGENT, chat({}, true))) };
  },

  async outbound_signal(env) {
    const signal = AbortSignal.timeout(200);
    await env.OUTBOUND.fetch(AGENT, { ...chat(), signal });
  },

  async redirect(env) {
    const url = "https://agents.example.com/redirect";
    const answer = await env.OUTBOUND.fetch(url, { redirect: "manual" });
    return { status: answer.status, location: answer.headers.get("location") };
  },

  async nowhere(env) {
    await env.OUTBOUND.fetch("https://nowhere.test/");
  },
};

function chat(headers = {}, stream = false) {
  return { method: "POST", headers, body: JSON.stringify({ messages: MESSAGES, stream }) };
}

async function firstPart(answer) {
  const reader = answer.body.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  return new TextDecoder().decode(value);
}

export default {
  async fetch(request, env) {
    try {
      return Response.json((await CALLS[new URL(request.url).pathname.slice(1)](env)) ?? null);
    } catch (error) {
      return Response.json({ name: error.name, message: error.message }, { status: 500 });
    }
  },
};
