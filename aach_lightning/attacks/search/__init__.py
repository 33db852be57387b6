"""Attacks that learn nothing: they ask for the codes of changed items and keep what moved the code away."""
