"""What wrangler runs before it uploads or serves wrangler.toml itself.

A Worker without its packages or its table of word vectors would be uploaded without a word, and
fail at its first request.
"""

import sys

from scripts.setup import uploaded

ADVICE = """
Not ready to upload. Not done: {missing}.

What to do: deploy with `npm run deploy`, which makes it ready, finds your account, creates the
database and its tables, and then calls wrangler. `npm run deploy -- --dry-run` shows the steps.
"""


def main() -> None:
    if missing := [step.title for step in uploaded() if not step.is_done()]:
        texts = [title[0].lower() + title[1:] for title in missing]
        sys.exit(ADVICE.format(missing=", ".join(texts)))


if __name__ == "__main__":
    main()
