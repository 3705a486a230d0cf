"""Amounts of what executors are made of."""

from __future__ import annotations

import re
from typing import Self

import msgspec

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?\s*$", re.IGNORECASE)
_UNIT = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}

KINDS = ("millicores", "memory", "milligpus", "nvme")


def parse_bytes(text: str | int) -> int:
    """Bytes in `"512m"`, `"4G"`, `"4GiB"` or a plain number; units are powers of 1024, as Spark's are.

    Raises ValueError for anything else.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        return text
    found = _SIZE.match(text) if isinstance(text, str) else None
    if found is None:
        raise ValueError(f"{text!r} is not a size: write a number and a unit, such as 512m or 4G")
    return round(float(found[1]) * _UNIT[found[2].lower()])


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An amount of every resource, in whole units small enough never to need a fraction.

    Absent means zero, for every resource and everywhere. The set is fixed: these four are what Spark and Kubernetes
    both schedule for executors.
    """

    millicores: int = 0
    """Thousandths of a core."""
    memory: int = 0
    """Bytes, overhead included: what the executor's process or pod may use in all."""
    milligpus: int = 0
    """Thousandths of a GPU."""
    nvme: int = 0
    """Bytes of local NVMe scratch."""

    @classmethod
    def of(cls, *, cores: float = 0, memory: str | int = 0, gpus: float = 0, nvme: str | int = 0) -> Self:
        """An amount from the units that people write: `Resources.of(cores=2, memory="4G")`."""
        return cls(round(cores * 1000), parse_bytes(memory), round(gpus * 1000), parse_bytes(nvme))

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.millicores + other.millicores,
            self.memory + other.memory,
            self.milligpus + other.milligpus,
            self.nvme + other.nvme,
        )

    def __sub__(self, other: Resources) -> Resources:
        return Resources(
            self.millicores - other.millicores,
            self.memory - other.memory,
            self.milligpus - other.milligpus,
            self.nvme - other.nvme,
        )

    def __mul__(self, times: int) -> Resources:
        return Resources(self.millicores * times, self.memory * times, self.milligpus * times, self.nvme * times)

    def fits_in(self, room: Resources) -> bool:
        """Whether `room` has at least this much of every resource."""
        return (
            self.millicores <= room.millicores
            and self.memory <= room.memory
            and self.milligpus <= room.milligpus
            and self.nvme <= room.nvme
        )

    def how_many(self, room: Resources) -> int:
        """How many whole amounts of this size fit in `room`; 0 if this amount is nothing at all."""
        counts = [has // need for need, has in zip(self.amounts(), room.amounts(), strict=True) if need > 0]
        return max(0, min(counts)) if counts else 0

    def amounts(self) -> tuple[int, int, int, int]:
        """The four amounts in the order of `KINDS`."""
        return (self.millicores, self.memory, self.milligpus, self.nvme)

    def __str__(self) -> str:
        parts = []
        if self.millicores:
            parts.append(_count(self.millicores, "core"))
        if self.memory:
            parts.append(f"{self.memory / _UNIT['g']:.3g} GiB memory")
        if self.milligpus:
            parts.append(_count(self.milligpus, "GPU"))
        if self.nvme:
            parts.append(f"{self.nvme / _UNIT['g']:.3g} GiB NVMe")
        return ", ".join(parts) or "nothing"


def _count(thousandths: int, what: str) -> str:
    return f"{thousandths / 1000:g} {what}{'' if thousandths == 1000 else 's'}"
