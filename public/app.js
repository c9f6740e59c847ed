// The first page: one query in, one decision out.

import { api } from "./api.js";

const element = (id) => document.getElementById(id);

element("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  element("decision").hidden = true;
  element("status").textContent = "Routing …";
  try {
    const body = { query: element("query").value };
    show(await api("POST", "/v1/route", { key: element("key").value, body }));
    element("status").textContent = "";
  } catch (error) {
    element("status").textContent = error.message;
  } finally {
    button.disabled = false;
  }
});

function show(decision) {
  element("agent").textContent = decision.agent.name;
  const facts = [
    ["Confidence", `${Math.round(decision.confidence * 100)} %`],
    ["Answered by", decision.layer],
    ["Reason", decision.reason],
    ["Model", decision.adapter ?? decision.model],
    ["Engine", decision.attempts.at(-1)?.engine],
    ["Time", `${decision.latency_ms} ms`],
  ];
  element("facts").replaceChildren(...facts.filter(([, value]) => value).map(fact));
  element("json").textContent = JSON.stringify(decision, null, 2);
  element("decision").hidden = false;
}

function fact([name, value]) {
  const row = element("fact").content.cloneNode(true);
  row.querySelector("dt").textContent = name;
  row.querySelector("dd").textContent = value;
  return row;
}
