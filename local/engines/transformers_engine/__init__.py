"""The engine that runs a model in this process, with transformers, and applies adapters with PEFT.

Its modules import torch; whoever has not chosen it imports none of them. What a model reads comes
from `trainer.templates`, so that an adapter is asked as it was taught.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "src"))  # where the trainer's rules are
