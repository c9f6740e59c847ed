"""Names of finetunes at Cloudflare, which are paths in its API and names of models here.

Cloudflare documents no rule but the reserved prefix (cloudflare-docs,
workers-ai/features/fine-tunes/public-loras.mdx); these characters need no escaping anywhere.
"""

import re

RESERVED_PREFIX = "cf-public-"
MAX_NAME = 100

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{MAX_NAME - 1}}}")


def wrong_name(name: str) -> str:
    """Why this is no name for a finetune; empty where it is one."""
    if not _NAME.fullmatch(name):
        return (
            f"A finetune's name has 1 to {MAX_NAME} letters, digits and - _ . and begins with a"
            " letter"
            " or digit."
        )
    if name.lower().startswith(RESERVED_PREFIX):
        return f"Names that begin with {RESERVED_PREFIX} are Cloudflare's own."
    return ""
