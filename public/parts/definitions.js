// What each metric counts, in one sentence. The exact definitions are in the API's `counting`.

export const DEFINITIONS = {
  requests: "Requests that were routed or answered: one log row each.",
  errors: "Requests with an HTTP status other than 200.",
  fallback: "Requests that the fallback agent answered.",
  cacheHits: "Requests decided from the router's own cache.",
  withoutLlm: "Requests decided without a model call: by the cache, the classifier or a label.",
  accuracy: "Share of correct decisions on randomly sampled requests, with a 95 % Wilson interval.",
  tokens: "Prompt and completion tokens of all model calls, as the models count them.",
  cost: "Tokens at the model's price at that time; calls without a known price are not included.",
  savings:
    "Requests decided without a model call, at the mean cost and time of the models' decisions of the same day. An estimate, no bill.",
  latency: "Time from the request's arrival to the decision, or to the end of a chat answer.",
  layers: "Requests by the layer that decided, per period (UTC).",
  refusals:
    "Requests refused before they were routed: a limit, a budget, something that the key may not do, a wrong request, or a key that is not valid. They have no log row.",
  confusions:
    "Requests whose label is another agent than the one they were routed to; each query once. Only the random sample measures how often it happens: other labels are often given to hard queries.",
  reasons: "Requests by the reason for the fallback or the error.",
  modelCalls: "Model calls, including retries and fallback models, by outcome.",
};
