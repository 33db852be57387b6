"""The protocol: what the target answers to clean, noisy and adversarial queries, as one Result."""
