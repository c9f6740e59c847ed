"""LoRA adapters: intake, checks and upload."""
