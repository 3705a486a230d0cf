"""What Kubernetes says, as people read it: pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from emberhub_spawner.kubernetes.reasons import end_of, of_warning, refused, trouble_of

from tests.support.messages import check_message


def unschedulable(message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"status": {"phase": "Pending", "conditions": [condition]}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"status": {"phase": "Pending", "containerStatuses": [{"image": "registry/none:1", "state": state}]}}


def ended(**terminated: Any) -> dict[str, Any]:
    return {"status": {"phase": "Failed", "containerStatuses": [{"state": {"terminated": terminated}}]}}


@pytest.mark.parametrize(
    ("pod", "says", "final"),
    [
        (unschedulable("0/1 nodes are available: 1 Insufficient cpu."), "No node has enough cores left", False),
        (
            unschedulable("0/2 nodes are available: 2 Insufficient nvidia.com/gpu."),
            "wait for a node with a free GPU",
            False,
        ),
        (
            unschedulable("0/1 nodes are available: 1 node(s) didn't match node selector."),
            "No node is of the kind",
            False,
        ),
        (
            unschedulable("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."),
            "No node is of the kind",
            False,
        ),
        (unschedulable("0/1 nodes: 1 had taint {x: y}, that the pod didn't tolerate."), "No node takes", False),
        (waiting("ErrImagePull", "not found"), "The image registry/none:1 of the executors cannot be had", False),
        (waiting("ImagePullBackOff", "Back-off"), "cannot be had", True),
        (waiting("CreateContainerConfigError", 'secret "x" not found'), 'secret "x" not found', True),
    ],
)
def test_what_keeps_a_pod_is_told(pod: dict[str, Any], says: str, final: bool) -> None:
    trouble = trouble_of(pod, "executors")
    assert trouble is not None
    assert says in trouble.message
    check_message(trouble.message)
    assert trouble.final is final


@pytest.mark.parametrize("reason", ["FailedScheduling", "FailedMount"])
def test_a_warning_is_told(reason: str) -> None:
    told = of_warning({"reason": reason, "message": "0/1 nodes: a volume is missing"}, "driver")
    assert "a volume is missing" in told
    check_message(told)


def test_a_pod_that_is_just_being_made_has_no_trouble() -> None:
    assert trouble_of(waiting("ContainerCreating"), "driver") is None
    assert trouble_of({"status": {"phase": "Pending"}}, "driver") is None


@pytest.mark.parametrize(
    ("status", "message", "says"),
    [
        (403, 'pods "x" is forbidden: exceeded quota: class, requested: pods=1, used: pods=9', "quota leaves no room"),
        (400, 'admission webhook "no.example" denied the request: images must be signed', "images must be signed"),
        (403, 'pods is forbidden: User "hub" cannot create resource "pods"', "may not start the driver"),
        (422, "Pod is invalid: spec.nodeSelector", "does not take the driver"),
    ],
)
def test_a_refusal_is_told(status: int, message: str, says: str) -> None:
    assert says in refused(status, json.dumps({"message": message}), "driver")
    check_message(refused(status, json.dumps({"message": message}), "driver"))


def test_a_refusal_that_is_not_json_is_told_too() -> None:
    assert "does not take the driver" in refused(502, "<html>", "driver")


@pytest.mark.parametrize(
    ("pod", "deleted", "says"),
    [
        (ended(exitCode=137, reason="OOMKilled"), False, "more memory than its pod may have"),
        (ended(exitCode=137), False, "killed by signal 9"),
        (ended(exitCode=1, message="Spark's Java process ended with status 3"), False, "ended with status 3"),
        (ended(exitCode=3, message="x\njava.lang.OutOfMemoryError: Java heap space\n"), False, "ran out of memory"),
        (ended(exitCode=0, message="its backend stopped it"), True, "pod was deleted"),
        (
            {"status": {"phase": "Failed", "reason": "Evicted", "message": "low on memory"}},
            False,
            "Evicted: low on memory",
        ),
    ],
)
def test_the_end_of_a_driver_is_told_with_what_to_do(pod: dict[str, Any], deleted: bool, says: str) -> None:
    assert says in end_of(pod, deleted=deleted)
    assert end_of(pod, deleted=deleted).endswith("Start the cluster again to go on.")
