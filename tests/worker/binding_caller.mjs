// Calls env.AI and env.OUTBOUND as a Worker would, and reports the result.

const MODEL = "@cf/meta/llama-3.2-1b-instruct";
const MESSAGES = [{ role: "user", content: "hello" }];
const GATEWAY = { id: "edge", metadata: { agent: "it" } };
const RAW = { returnRawResponse: true, gateway: GATEWAY };
const UPLOADED_MEGABYTES = 20;
const AGENT = "https://agents.example.com/openai/it";

const CALLS = {
  async stream(env) {
    const answer = await env.AI.run(MODEL, { messages: MESSAGES, stream: true }, RAW);
    return { type: answer.headers.get("content-type"), text: await answer.text() };
  },

  async decision(env) {
    const criteria = { it: "vpn", hr: "leave" };
    const question = { type: "choice", instructions: "Which?", criteria };
    const inputs = { model: "clef", state: "my vpn is down", questions: { agent: question } };
    return env.AI.run("@cf/cloudflare/clef", inputs, { gateway: GATEWAY });
  },

  async decision_refused(env) {
    await env.AI.run("@cf/cloudflare/clef", { model: "clef", prompt: "hello" });
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

  // A body without a stated length, as of a file that is streamed.
  async outbound_upload(env) {
    const url = "https://api.cloudflare.com/client/v4/accounts/local/ai/finetunes";
    const headers = { authorization: "Bearer local-api-token" };
    const finetune = { model: "@cf/google/gemma-2b-it-lora", name: `tuned-${Date.now()}` };
    const made = await env.OUTBOUND.fetch(url, {
      method: "POST",
      headers,
      body: JSON.stringify(finetune),
    });
    const { id } = (await made.json()).result;
    headers["content-type"] = "multipart/form-data; boundary=b";
    const { readable, writable } = new IdentityTransformStream();
    const asking = env.OUTBOUND.fetch(`${url}/${id}/finetune-assets`, {
      method: "POST",
      headers,
      body: readable,
    });
    await writeForm(writable.getWriter());
    return (await asking).json();
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

async function writeForm(writer) {
  const encoder = new TextEncoder();
  const named = (name) => `--b\r\nContent-Disposition: form-data; name="${name}"`;
  const head = `${named("file_name")}\r\n\r\nadapter_model.safetensors\r\n${named("file")}`;
  await writer.write(encoder.encode(`${head}; filename="blob"\r\n\r\n`));
  const megabyte = new Uint8Array(1_000_000);
  for (let at = 0; at < UPLOADED_MEGABYTES; at++) await writer.write(megabyte);
  await writer.write(encoder.encode("\r\n--b--\r\n"));
  await writer.close();
}

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
