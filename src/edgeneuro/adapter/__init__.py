"""LoRA adapters before they go to Workers AI: the bases, what a file may hold, the pre-flight.
Standard library alone: the Worker, `npm run adapter` and train_lora.py judge by the same code."""
