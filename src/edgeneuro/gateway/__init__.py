"""The way to the models: Workers AI through AI Gateway, behind one seam."""
