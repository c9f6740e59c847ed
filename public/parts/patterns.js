// What the API takes for names and addresses, so that a form can say so at once.

export const ID = {
  pattern: "[a-z0-9][a-z0-9_\\-]{0,63}",
  patternHelp: "Begin with a small letter or a digit; then small letters, digits, - and _ only.",
};

export const ADDRESS = {
  pattern: "https://[!-~]+",
  patternHelp: "Give a whole address that begins with https:// and has no spaces.",
};

export const ADAPTER_NAME = {
  pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]{0,99}",
  patternHelp: "Begin with a letter or a digit; then letters, digits, dots, hyphens and _ only.",
};

export const SECRET_NAME = {
  pattern: "PROVIDER_[A-Z0-9][A-Z0-9_]{0,54}",
  patternHelp:
    "The name of a provider's secret begins with PROVIDER_ and has capital letters, digits and _ only, such as PROVIDER_OPENAI_KEY.",
};
