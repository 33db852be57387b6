"""The systems under attack: how each is trained, and the metered door in front of it."""
