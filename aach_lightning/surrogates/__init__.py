"""The networks that learn to answer like the target, from its answers alone."""
