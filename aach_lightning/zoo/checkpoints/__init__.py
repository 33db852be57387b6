"""Networks that somebody else has trained, from the files that their authors left: one file a format."""
