"""The driver of one personal cluster: a Spark driver with Spark Connect, and the agent that obeys the service.

Started by a backend as `python -m emberhub_driver`; see `emberhub.wire.driver` for what it is handed.
"""
