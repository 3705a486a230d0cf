"""Notebook spawners for JupyterHub, and the backends that start Spark drivers."""
