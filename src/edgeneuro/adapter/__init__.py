"""LoRA adapters before the upload to Workers AI: the bases, the rules for the files, the
pre-flight. Standard library alone: the Worker, `npm run adapter` and train_lora.py share this
code."""
