"""Further targets: published hashing methods, and other people's checkpoints."""
