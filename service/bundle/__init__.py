"""Leaf: a posting becomes unit vectors, a score becomes a decision. Training and serving both call this package."""
