"""`npm start`: sets up what is missing, then serves the product. `--no-setup` only serves."""

import os
import sys

# Before any import that an older Python cannot read, and ruff thinks there is none.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("EdgeNeuro needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

from scripts.options import Options
from scripts.product import serve
from scripts.setup import prepare
from scripts.signals import Stopped, stop_on_signals
from scripts.steps import StepFailed, give_up


def main() -> None:
    stop_on_signals()
    try:
        options = Options.from_environment()
        if "--no-setup" not in sys.argv[1:]:
            prepare(training=os.environ.get("LOCAL_AI_ENGINE") == "transformers")
        serve(options)
    except StepFailed as failure:
        give_up("Starting EdgeNeuro", failure)
    except Stopped:
        print("\nStopped.")


if __name__ == "__main__":
    main()
