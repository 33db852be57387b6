"""Splits as other projects save them."""
