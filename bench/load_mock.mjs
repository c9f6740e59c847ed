// A model that answers at once, for bench/load.py: as Workers AI behind AI Gateway, which is what the
// product's emulated binding asks, and in OpenAI's format for other gateways. The port is the argument.

import http from "node:http";

const usage = { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12 };
const text = "Fixed answer.";
const ROUTING = workersAi({ agent: "it_support", confidence: 0.93 });
const CHAT = workersAi(text);
const OPENAI = buffer({
  id: "chatcmpl-0001",
  object: "chat.completion",
  created: 1763800000,
  model: "mock",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: text },
      logprobs: null,
      finish_reason: "stop",
    },
  ],
  usage,
});

function workersAi(response) {
  return buffer({ result: { response, usage }, success: true, errors: [], messages: [] });
}

function buffer(content) {
  return Buffer.from(JSON.stringify(content));
}

function answerTo(path, body) {
  if (path.endsWith("/chat/completions")) return OPENAI;
  return body.includes('"agent"') ? ROUTING : CHAT;
}

http
  .createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const answer = answerTo(request.url, Buffer.concat(parts));
      response.writeHead(200, {
        "content-type": "application/json",
        "content-length": answer.length,
        "cf-aig-cache-status": "MISS",
        "cf-aig-log-id": "log",
      });
      response.end(answer);
    });
  })
  .listen(Number(process.argv[2]), "127.0.0.1");
