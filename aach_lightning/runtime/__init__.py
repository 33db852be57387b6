"""Hydra, Lightning, Weights & Biases and disk, each behind one file."""
