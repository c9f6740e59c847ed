"""`npm run dev`: the Worker on this machine with the real Workers AI, by wrangler's own login.

Other words are passed on to `wrangler dev`. The database is that of `npm start`, whose tables and
agents it needs, so start that once before.
"""

import json
import os
import sys

# Before any import that an older Python cannot read, and ruff thinks there is none.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("EdgeNeuro needs Python 3.11 or newer; this is " + sys.version.split()[0] + ".")

from scripts.deployment.config import base_config, config_file
from scripts.paths import ROOT
from scripts.setup import prepare_upload
from scripts.steps import StepFailed, give_up
from scripts.wrangler import wrangler

LOCAL_DATABASE = "00000000-0000-0000-0000-000000000000"  # as in wrangler.toml's env.local


def main() -> None:
    try:
        prepare_upload()
        config = base_config()
        config["d1_databases"][0]["database_id"] = LOCAL_DATABASE
        path = config_file("dev")
        path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        words = wrangler("dev", "--config", path, *sys.argv[1:])
    except StepFailed as failure:
        give_up("Starting wrangler", failure)
    os.chdir(ROOT)
    os.execv(words[0], words)


if __name__ == "__main__":
    main()
