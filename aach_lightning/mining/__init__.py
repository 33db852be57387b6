"""From the codes of a target to cross-modal triplets."""
