"""What Kubernetes says of a pod, as sentences for the cluster's user: pure."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from ..reasons import AGAIN, sentence, why_ended

_TELL = "Tell your administrator"
_STAYS = "Wait until there is one, or choose another profile"
_IMAGE = ("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError")
_FINAL = ("ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError")
"""What does not come right by waiting, but for an administrator."""
_BROKEN = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError", "CrashLoopBackOff")
_LACKS = re.compile(r"Insufficient ([\w./-]+)")
_UNMATCHED = re.compile(r"didn't match (?:Pod's )?node (?:affinity|selector)|didn't match node selector")
_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied the request:?\s*(.*)', re.DOTALL)
_QUOTA = re.compile(r"exceeded quota: (.*)", re.DOTALL)
_SIGNAL = 128


class Trouble(NamedTuple):
    """Why a pod does not run."""

    message: str
    final: bool = False
    """It will not come right by itself."""


def trouble_of(pod: dict[str, Any], what: str) -> Trouble | None:
    """What keeps this pod from running, where it says so; `what` is "driver" or "executors"."""
    status = pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return _unschedulable(condition.get("message", ""), what)
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting") or {}
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        if reason in _IMAGE:
            return Trouble(
                f"The image {container.get('image', '')} of the {what} cannot be had ({_brief(message or reason)}). "
                f"{_TELL}, or choose another profile.",
                reason in _FINAL,
            )
        if reason in _BROKEN:
            return Trouble(f"The {what} cannot start ({reason}: {_brief(message)}). {_TELL}.", reason in _FINAL)
    return None


def _unschedulable(message: str, what: str) -> Trouble:
    lacking = [each.rstrip(".") for each in _LACKS.findall(message)]
    said = f"(Kubernetes says: {_brief(message)})"
    if any("gpu" in each for each in lacking):
        waits = "waits" if what == "driver" else "wait"
        return Trouble(f"The {what} {waits} for a node with a free GPU {said}. {_STAYS}.")
    if lacking:
        kinds = " and ".join(sorted({"cores" if each == "cpu" else each for each in lacking}))
        return Trouble(f"No node has enough {kinds} left for the {what} {said}. {_STAYS}.")
    if _UNMATCHED.search(message):
        return Trouble(
            f"No node is of the kind that the profile asks for, so that the {what} cannot start {said}. "
            f"{_TELL}, or choose another profile."
        )
    return Trouble(f"No node takes the {what} {said}. {_TELL}, or choose another profile.")


def of_warning(event: dict[str, Any], what: str) -> str:
    """A warning that Kubernetes has noted about a pod."""
    if event.get("reason") == "FailedScheduling":
        return _unschedulable(event.get("message", ""), what).message
    return f"The {what} cannot start ({event.get('reason', '')}: {_brief(event.get('message', ''))}). {_TELL}."


def refused(status: int | None, body: str | None, what: str) -> str:
    """Why Kubernetes did not take a manifest."""
    try:
        message = str(json.loads(body or "")["message"])
    except (ValueError, TypeError, KeyError):
        message = body or ""
    if found := _WEBHOOK.search(message):
        return f"The rules of the Kubernetes cluster refuse the {what}: {_brief(found[2] or found[1])}. {_TELL}."
    if found := _QUOTA.search(message):
        return (
            f"The namespace's quota leaves no room for the {what} ({_brief(found[1])}). "
            "Try again when others have stopped theirs, or tell your administrator."
        )
    if status in (401, 403):
        return f"The hub may not start the {what} in Kubernetes ({_brief(message)}). {_TELL}."
    return f"Kubernetes does not take the {what} ({_brief(message) or status}). {_TELL}."


def end_of(pod: dict[str, Any], *, deleted: bool) -> str:
    """Why a driver's pod has ended; `deleted`: it was taken away, and not by this service."""
    status = pod.get("status", {})
    container: dict[str, Any] = next(iter(status.get("containerStatuses", ())), {})
    ended = container.get("state", {}).get("terminated") or container.get("lastState", {}).get("terminated") or {}
    if status.get("reason"):
        # Evicted, NodeLost, Preempting: of the pod as a whole.
        about = _brief(status.get("message", ""))
        return f"The Spark driver's pod was ended by Kubernetes ({status['reason']}: {about}). {AGAIN}"
    if ended.get("reason") == "OOMKilled":
        return f"The Spark driver used more memory than its pod may have: collect less into the notebook. {AGAIN}"
    if deleted:
        return f"The Spark driver's pod was deleted, by an administrator or with its node. {AGAIN}"
    code, message = ended.get("exitCode"), ended.get("message", "")
    # What the driver said itself is one line; else Kubernetes has put the end of its log there.
    own, log = (message, "") if "\n" not in message.strip() else ("", message)
    return why_ended(own.strip(), log, None if code is None or code < _SIGNAL else _SIGNAL - code)


def _brief(message: str) -> str:
    return sentence(" ".join(message.split()))
