"""What travels between the parts of Emberhub, as types.

Every message and document that crosses a process boundary is a frozen msgspec struct in this package, so that each
side reads exactly what the other writes. It imports nothing but msgspec and the standard library.

* `resources`: amounts of cores, memory, GPUs and NVMe.
* `agent`: the WebSocket between a driver and the service.
* `driver`: what a backend hands to a driver that it starts.
* `rest`: the bodies of the REST API.
"""
