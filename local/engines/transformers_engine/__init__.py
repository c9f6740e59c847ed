"""The engine that runs a model in this process, with transformers, and applies adapters with PEFT.

Its modules import torch; whoever has not chosen it imports none of them.
"""
