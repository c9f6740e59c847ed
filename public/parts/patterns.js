// The API's patterns for names and addresses, so that a form can validate its fields.

export const ID = {
  pattern: "[a-z0-9][a-z0-9_\\-]{0,63}",
  patternHelp:
    "Start with a lowercase letter or digit; use only lowercase letters, digits, - and _.",
};

/** Where an agent is reached. */
export const AGENT_ADDRESS = {
  pattern:
    "https://[!-~]+|http://(127\\.0\\.0\\.1|localhost|\\[::1\\])([:\\/][!-~]*)?|service:AGENT_[!-~]+",
  patternHelp:
    "Enter a full URL that starts with https://, or service: and a binding that starts with AGENT_.",
};

export const ADDRESS = {
  pattern: "https://[!-~]+",
  patternHelp: "Enter a full URL that starts with https://, without spaces.",
};

/** Where a webhook goes; the API takes http only of `npm start`. */
export const WEBHOOK_ADDRESS = {
  pattern: "https://[!-~]+|http://(127\\.0\\.0\\.1|localhost|\\[::1\\])([:\\/][!-~]*)?",
  patternHelp: ADDRESS.patternHelp,
};

export const ADAPTER_NAME = {
  pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]{0,99}",
  patternHelp: "Start with a letter or digit; use only letters, digits, dots, hyphens and _.",
};

export const SECRET_NAME = {
  pattern: "PROVIDER_[A-Z0-9][A-Z0-9_]{0,54}",
  patternHelp:
    "Start with PROVIDER_; use only uppercase letters, digits and _. Example: PROVIDER_OPENAI_KEY.",
};
