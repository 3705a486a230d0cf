"""The commands of `emberhub` that need the hub, the service or the allocator."""
