"""Asks Kubernetes what keeps pods from running, where it does not say so by itself."""

from __future__ import annotations

import time
from dataclasses import dataclass

from kubernetes_asyncio.client import ApiException

from .api import Namespace
from .manifests import Manifest
from .reasons import of_warning, refused, trouble_of

PROBE_EVERY = 5.0
"""Seconds for which the answer to a probe holds."""
_CONFLICT = 409


async def why_pending(kubernetes: Namespace, pod: Manifest, what: str) -> str:
    """What keeps this pod from running; empty where nothing is known. Raises one of UNREACHABLE."""
    trouble = trouble_of(pod, what)
    if trouble is not None:
        return trouble.message
    warnings = await kubernetes.warnings(pod["metadata"]["uid"])
    return of_warning(warnings[-1], what) if warnings else ""


@dataclass
class Probe:
    """Whether Kubernetes would take one more executor of a cluster: Spark itself tells nobody but its log."""

    template: Manifest | None = None
    _asked: float = float("-inf")
    _refusal: str = ""

    def forget(self) -> None:
        """What was refused before may be taken now."""
        self._asked, self._refusal = float("-inf"), ""

    async def ask(self, kubernetes: Namespace, driver: str) -> str:
        """Why it is refused, or an empty string; `driver` is the driver pod's name. Raises one of UNREACHABLE."""
        if time.monotonic() - self._asked >= PROBE_EVERY:
            self._asked = time.monotonic()
            if self.template is None:
                self.template = await kubernetes.kept_template(driver)
            self._refusal = ""
            try:
                await kubernetes.create_pod(self.template, dry_run=True)
            except ApiException as error:
                # An executor of this name is no obstacle, and a webhook that cannot be tried says nothing.
                if error.status != _CONFLICT and "dry run" not in str(error.body):
                    self._refusal = refused(error.status, str(error.body or ""), "executors")
        return self._refusal
