"""`npm run wrangler -- WORDS`: wrangler with the Node that it needs, on one of your deployments.

npm run wrangler -- login
npm run wrangler -- tail                               # of production
npm run wrangler -- secret put PROVIDER_KEY --env staging

--env names a deployment, whose configuration is wrangler.ENV.json; --config names another file.
"""

import os
import sys
from collections.abc import Sequence

# Before any import that an older Python cannot read, and ruff thinks there is none.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("EdgeNeuro needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

from scripts.deployment.config import config_file
from scripts.deployment.record import PRODUCTION
from scripts.paths import ROOT
from scripts.setup import prepare_wrangler
from scripts.steps import StepFailed, give_up
from scripts.wrangler import wrangler


def main() -> None:
    words = sys.argv[1:]
    if not words:
        sys.exit(__doc__)
    try:
        prepare_wrangler()
        command = wrangler(*on_deployment(words))
    except StepFailed as failure:
        give_up("Starting wrangler", failure)
    os.chdir(ROOT)
    os.execve(command[0], command, {"WRANGLER_SEND_METRICS": "false", **os.environ})


def on_deployment(words: Sequence[str]) -> list[str]:
    """The words with the configuration of the deployment in place of --env. Raises StepFailed if
    there is none of that name."""
    own, rest, named = list(words), [], ""
    while own:
        word = own.pop(0)
        if word == "--":  # what follows is not wrangler's
            rest += [word, *own]
            break
        if word.startswith("--env="):
            named = word.removeprefix("--env=")
        elif word in ("--env", "-e") and own:
            named = own.pop(0)
        else:
            rest.append(word)
    if any(each in ("--config", "-c") or each.startswith("--config=") for each in rest):
        return rest
    config = config_file(named or PRODUCTION)
    if config.exists():
        return [*rest, "--config", str(config)]
    if named:
        raise StepFailed(
            f"There is no {config.name}.", f"deploy first: npm run deploy -- --env {named}"
        )
    return rest


if __name__ == "__main__":
    main()
