"""Perturbations that are learned against frozen networks."""
