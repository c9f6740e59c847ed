"""The code of train_lora.py. Of the product it knows only the exports and the rules for adapters
(edgeneuro.adapter)."""
