"""The Kubernetes backend: drivers as pods, executors by Spark's own Kubernetes manager."""

from .backend import KubernetesBackend

__all__ = ["KubernetesBackend"]
