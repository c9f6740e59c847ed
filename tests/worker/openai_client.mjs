// OpenAI's Node client against a running product; test_clients.py runs it and reads what it prints.

import OpenAI from "openai";

const [baseURL, apiKey, mark] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey });
const completions = client.chat.completions;

const user = (text) => ({ role: "user", content: `${text} (${mark})` });
const tell = (line) => console.log(JSON.stringify(line));

async function whole() {
  const answer = await completions.create({
    model: "auto",
    messages: [user("My VPN does not connect")],
  });
  const agent = answer.edgeneuro.agent.id;
  tell({ case: "whole", agent, content: answer.choices[0].message.content });
}

async function stream() {
  let content = "";
  let finish_reason = null;
  let total_tokens = 0;
  const chunks = await completions.create({
    model: "auto",
    messages: [user("My laptop is slow")],
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of chunks) {
    content += chunk.choices[0]?.delta.content ?? "";
    finish_reason = chunk.choices[0]?.finish_reason ?? finish_reason;
    total_tokens = chunk.usage?.total_tokens ?? total_tokens;
  }
  tell({ case: "stream", content, finish_reason, total_tokens });
}

async function tool() {
  const tools = [
    {
      type: "function",
      function: {
        name: "get_ticket",
        parameters: {
          type: "object",
          properties: { number: { type: "integer" } },
          required: ["number"],
        },
      },
    },
  ];
  const messages = [user("get_ticket 7: what does it say?")];
  const asked = await completions.create({ model: "agent:hr", messages, tools });
  const { message } = asked.choices[0];
  const [call] = message.tool_calls;
  messages.push(message, { role: "tool", tool_call_id: call.id, content: "no coffee" });
  const answered = await completions.create({ model: "agent:hr", messages, tools });
  tell({ case: "tool", name: call.function.name, answer: answered.choices[0].message.content });
}

async function models() {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  tell({ case: "models", ids });
}

async function decisions() {
  const decision = await client.decisions.create({
    model: "auto",
    input: [{ role: "user", content: `My VPN does not connect (${mark})` }],
    questions: [
      {
        type: "choice",
        name: "who",
        instructions: "Which agent should answer?",
        choices: [{ value: "it_support" }, { value: "hr" }, { value: "none" }],
      },
    ],
  });
  const [{ type, name, choice, probabilities }] = decision.answers;
  const { decision_id } = decision.edgeneuro;
  tell({ case: "decisions", type, name, choice, options: probabilities.length, decision_id });
}

async function failing(name, request) {
  try {
    await request();
    tell({ case: name, error: null });
  } catch (error) {
    tell({ case: name, error: error.constructor.name, code: error.code, param: error.param });
  }
}

const wrongKey = new OpenAI({ baseURL, apiKey: "en_wrong" });
await whole();
await stream();
await tool();
await models();
await decisions();
await failing("not found", () => completions.create({ model: "gpt-4", messages: [user("hello")] }));
await failing("bad request", () =>
  completions.create({ model: "auto", messages: [{ role: "robot", content: "beep" }] }),
);
await failing("wrong key", () =>
  wrongKey.chat.completions.create({ model: "auto", messages: [user("hello")] }),
);
