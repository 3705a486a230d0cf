"""The JupyterHub service that shares executors between users."""
