"""The control of clusters: what is asked for is written as goals; one reconciler and one controller act on them."""
