// Playground, tab Conversation: each message is routed in one session, as an application sends it.

import { api } from "../api.js";
import { h, replace } from "../dom.js";
import { ms, percent, plural } from "../format.js";
import { setBusy } from "../parts/busy.js";
import { actionButton, badge, button } from "../parts/controls.js";
import { layerBadge } from "../parts/decision.js";
import { field, read } from "../parts/form.js";
import { idText } from "../parts/ids.js";
import { errorPanel, spinner } from "../parts/loading.js";
import { notice } from "../parts/notice.js";
import { shortcuts } from "../parts/shortcuts.js";
import { snippets } from "../parts/snippets.js";
import { address } from "../router.js";
import { openDecision, outcomeView, titleOf } from "./playground_decision.js";
import { requestOptions, shownFully } from "./playground_options.js";

const ROUTE = "/v1/route";

export function conversationView({ agents, models, routers, signal, may }) {
  const thread = h("ol", { class: "thread" });
  const about = h("div", { class: "spread" });
  const fault = h("div", {});
  const text = field({
    name: "query",
    label: "Message",
    type: "textarea",
    rows: 2,
    required: true,
    maxlength: 8000,
    help: "Enter sends. Shift+Enter starts a new line.",
  });
  const box = text.element.querySelector("textarea");
  const options = requestOptions({ agents, models, routers });
  const submit = h("button", { class: "button", "data-kind": "main" }, "Send");
  const code = snippets(ROUTE, {});
  shortcuts(signal, "Playground", [
    { shown: "Enter", text: "Send the message" },
    { shown: "Shift+Enter", text: "New line in the message" },
  ]);
  let session = null;
  let turns = []; // {query, decision, agent: the one that has the conversation, answer, close}

  const begin = () => {
    session = `playground-${crypto.randomUUID()}`;
    turns = [];
    replace(thread);
    replace(fault);
    showSession();
    showCode();
  };
  const showSession = () => {
    const fresh = button(
      "New conversation",
      () => {
        begin();
        box.focus();
      },
      { size: "small", disabled: !turns.length },
    );
    replace(about, h("p", { class: "help wrap" }, sessionText(session, turns, may)), fresh);
  };
  const request = (query) => ({ query, session, ...turnBefore(turns), ...options.body() });
  const showCode = () => code.update(request(text.value() ?? ""));

  const send = async (query) => {
    if (submit.disabled) return;
    const body = { ...request(query), ...shownFully(may) };
    const mine = turns;
    const routed = h("div", { class: "bubble stack-small" }, spinner("Routing …"));
    const item = h(
      "li",
      { class: "stack-small" },
      h("p", { class: "bubble lines", "data-by": "user" }, query),
      routed,
    );
    thread.append(item);
    item.scrollIntoView({ block: "nearest" });
    replace(fault);
    setBusy(submit, true);
    try {
      const decision = await api("POST", ROUTE, { body, signal });
      if (turns === mine) add({ query, decision, routed });
    } catch (error) {
      if (error.name === "AbortError") return;
      if (turns !== mine) return;
      item.remove();
      box.value ||= query; // to be sent again
      replace(fault, errorPanel(error));
      if (error.status === undefined) throw error; // a bug: show it in the console too
    } finally {
      setBusy(submit, false);
    }
  };
  const add = ({ query, decision, routed }) => {
    turns.at(-1)?.close();
    const before = turns.at(-1)?.agent ?? null;
    const chosen = decision.clarify ? null : decision.agent;
    const asked = [...turns.flatMap(messagesOf), { role: "user", content: query }];
    const answer = chosen ? answerField(chosen, asked, { signal, onInput: showCode }) : null;
    const choices = h("div", { class: "stack-small" });
    const showOutcome = (onChoice) => replace(choices, outcomeView(decision, onChoice));
    showOutcome((option) => send(option.label));
    const turn = {
      query,
      decision,
      agent: chosen ?? before,
      answer: () => answer?.value() ?? null,
      /** The turn is over: it cannot be answered in another way. */
      close() {
        showOutcome(null);
        answer?.close();
      },
    };
    turns.push(turn);
    const name = h(
      "p",
      { class: "row" },
      h("strong", {}, titleOf(decision)),
      change(before, chosen, decision),
    );
    const onReroute = (next) => {
      turn.agent = next.agent ?? turn.agent;
      name.append(badge(`re-routed to ${titleOf(next)}`, "warn"));
    };
    const details = () => openDecision(query, decision, { agents, may, onReroute });
    replace(
      routed,
      name,
      choices,
      h(
        "div",
        { class: "row help" },
        layerBadge(decision.layer),
        decision.confidence === null ? null : h("span", {}, percent(decision.confidence)),
        h("span", {}, ms(decision.latency_ms)),
        button("Details", details, { size: "small", label: `Details of turn ${turns.length}` }),
      ),
      answer?.element,
    );
    showSession();
    showCode();
    box.focus();
  };
  const submitted = () => {
    try {
      const { query } = read([text]);
      if (submit.disabled) return;
      box.value = "";
      send(query);
    } catch (error) {
      if (error.name !== "AbortError") throw error; // the field shows the error
    }
  };
  const form = h(
    "form",
    {
      class: "card form",
      oninput: showCode,
      onsubmit: (event) => {
        event.preventDefault();
        submitted();
      },
    },
    text.element,
    h("div", {}, submit),
    options.element,
    h("details", {}, h("summary", {}, "Code"), code.element),
  );
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submitted();
  });
  begin();
  return h(
    "div",
    { class: "stack" },
    about,
    h("div", { role: "log", "aria-label": "Conversation" }, thread),
    fault,
    form,
  );
}

function sessionText(session, turns, may) {
  if (!turns.length)
    return "Each message is routed with the turn before it, which the router remembers under a session.";
  if (isOff(turns.at(-1)))
    return "Sessions are not remembered (the setting “Session timeout”). Each message is sent with the turn before it.";
  return [
    `${plural(turns.length, "turn")} in the session `,
    idText(session),
    may("read")
      ? [
          " ",
          h("a", { href: address(["logs"], { session }), target: "_blank" }, "View in the logs"),
        ]
      : null,
  ];
}

const isOff = ({ decision }) => decision.session === null;

/**
 * What a request says of the turn before it. The session has it, but for the answer of the agent, which only the
 * application knows.
 */
function turnBefore(turns) {
  const last = turns.at(-1);
  if (!last) return {};
  const answer = last.decision.clarify?.text ?? last.answer();
  const known = isOff(last)
    ? {
        previous_agent: last.agent?.id ?? null,
        previous_user: last.query,
        previous_assistant: answer,
      }
    : { previous_assistant: last.decision.clarify ? null : answer };
  const context = Object.entries(known).filter(([, value]) => value !== null);
  return context.length ? { context: Object.fromEntries(context) } : {};
}

/** Whether the conversation has stayed with its agent; null for the first one and without an agent. */
function change(before, chosen, { follow_up: isFollowUp, layer }) {
  if (before === null || !chosen) return null;
  if (before.id !== chosen.id) return badge(`changed from ${before.name}`, "accent");
  return badge(
    isFollowUp || layer === "session" ? "kept from the turn before" : "same agent",
    "good",
  );
}

/** The messages of a turn, as a chat has them. */
const messagesOf = ({ query, decision, answer }) => {
  const said = decision.clarify?.text ?? answer();
  return [
    { role: "user", content: query },
    ...(said === null ? [] : [{ role: "assistant", content: said }]),
  ];
};

/** A field for what the agent answered to these messages, typed or asked for, as {element, value, close}. */
function answerField(agent, messages, { signal, onInput }) {
  const given = field({
    name: "answer",
    label: `${agent.name} answered`,
    type: "textarea",
    rows: 3,
    maxlength: 8000,
    help: "Sent with your next message, as an application sends it: the router does not see the answers of agents.",
  });
  given.element.addEventListener("input", onInput);
  const ask = actionButton(
    "Ask the agent",
    async () => {
      const body = { model: `agent:${agent.id}`, messages };
      const { choices } = await api("POST", "/v1/chat/completions", { body, signal });
      const { content } = choices[0].message;
      if (!content) notice("The agent answered without a text.");
      given.element.querySelector("textarea").value = content ?? "";
      onInput();
    },
    { size: "small", label: `Ask ${agent.name}` },
  );
  const element = h(
    "details",
    {},
    h("summary", {}, "Add what the agent answered"),
    h("div", { class: "stack-small" }, given.element, h("div", {}, ask)),
  );
  return {
    element,
    value: given.value,
    close() {
      const text = given.value();
      if (text === null) element.remove();
      else element.replaceWith(h("p", { class: "previous-turn" }, text));
    },
  };
}
