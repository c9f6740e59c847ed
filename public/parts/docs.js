// Where the documentation of a screen is.

/** As in package.json: a release is refused while OWNER is not replaced. */
const REPOSITORY = "https://github.com/OWNER/edgeneuro";

/** The page of docs/ for each screen; the others are in pages.md. */
const PAGES = {
  analytics: "analytics",
  costs: "scaling",
  logs: "operations",
  playground: "routing",
  labeling: "labels",
  unmatched: "unmatched",
  datasets: "datasets",
  evaluations: "evaluation",
  routing_tests: "routing-tests",
  replays: "replay",
  models: "models",
  adapters: "adapters",
  agents: "agents",
  routers: "routers",
  rules: "rules",
  providers: "models",
  keys: "access",
  settings: "configuration",
  webhooks: "data-out",
};

/** The address of the documentation of this screen and version; null while the repository's is unknown. */
export const docsAddress = (screen, version) =>
  REPOSITORY.includes("/OWNER/")
    ? null
    : `${REPOSITORY}/blob/v${version}/docs/${PAGES[screen] ?? "pages"}.md`;
