"""Readers of other people's files: original layouts, packs, splits, checks and downloads."""
