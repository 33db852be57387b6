"""Hamming retrieval metrics: pure functions and the torchmetrics classes on them."""
