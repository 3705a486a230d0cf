"""The commands of `emberhub` that need nothing of the hub's."""
