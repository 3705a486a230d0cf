"""The service's face: the REST API and the agents' WebSocket, on tornado."""
