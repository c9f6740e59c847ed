"""What train_lora.py does: it knows the product's exports and nothing else of the product, but for
the rules that an adapter has to keep (edgeneuro.adapter)."""
