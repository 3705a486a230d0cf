"""The local backend: Spark standalone and the drivers, all on this machine."""

from .backend import LocalBackend

__all__ = ["LocalBackend"]
