"""Many methods under one protocol, as cards and tables."""
