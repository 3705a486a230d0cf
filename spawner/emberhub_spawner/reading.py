"""Reading YAML with errors that name the key and the line.

A `Reader` is one place in a document. It turns what people write (`4G`, `30s`, `50%`) into plain values, and every
error that it raises says where.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml
from emberhub.errors import ConfigError
from emberhub.wire.resources import Resources, parse_bytes

_SPAN = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d)?\s*$")
_SECONDS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PERCENT = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*%\s*$")

_LARGEST = 1 << 60
"""More bytes, or thousandths of a core, than any site has."""

KEYS = {"cores": "millicores", "memory": "memory", "gpus": "milligpus", "nvme": "nvme"}
"""What people write, and the field of `Resources` that it fills."""


class Reader:
    """One place in a YAML document: its key path, its line, and what stands there.

    `source` names the document in errors; where it is empty, there is none that people see, and no line is named.
    """

    def __init__(self, node: yaml.Node, path: str, source: str) -> None:
        self.node = node
        self.path = path
        self.source = source

    def error(self, problem: str) -> ConfigError:
        """An error about this place."""
        where = self.path or "the document"
        line = f"{self.source}, line {self.node.start_mark.line + 1}: " if self.source else ""
        return ConfigError(f"{line}{where}: {problem}")

    def fields(self, known: Iterable[str]) -> dict[str, Reader]:
        """The entries of a mapping. Keys that are not `known`, and keys that come twice, are errors."""
        names = tuple(known)
        found: dict[str, Reader] = {}
        for key, reader in self.pairs():
            if key not in names:
                raise reader.error(f"there is no such key; the known ones here are {', '.join(names)}")
            found[key] = reader
        return found

    def pairs(self) -> list[tuple[str, Reader]]:
        """The entries of a mapping with free keys, in order."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.error("must be a mapping, written as 'key: value'")
        found: dict[str, Reader] = {}
        for key_node, value_node in self.node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error("a key must be plain text")
            key = key_node.value
            reader = Reader(value_node, f"{self.path}.{key}" if self.path else key, self.source)
            if key in found:
                raise Reader(key_node, reader.path, self.source).error("this key comes twice")
            found[key] = reader
        return list(found.items())

    def items(self) -> list[Reader]:
        """The entries of a list."""
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.error("must be a list")
        return [Reader(node, f"{self.path}[{i}]", self.source) for i, node in enumerate(self.node.value)]

    def scalar(self) -> object:
        """Whatever single value stands here, as YAML reads it."""
        if not isinstance(self.node, yaml.ScalarNode):
            raise self.error("must be a single value")
        loader = yaml.SafeLoader("")
        try:
            value: object = loader.construct_object(self.node)
        except (yaml.YAMLError, ValueError) as wrong:
            raise self.error(f"cannot be read: {wrong}") from None
        finally:
            loader.dispose()
        return value

    def value(self) -> object:
        """Whatever stands here, of any depth, as YAML reads it."""
        loader = yaml.SafeLoader("")
        try:
            value: object = loader.construct_document(self.node)
        except (yaml.YAMLError, ValueError) as wrong:
            raise self.error(f"cannot be read: {wrong}") from None
        finally:
            loader.dispose()
        return value

    def text(self) -> str:
        """Text; a number is taken as written."""
        if not isinstance(self.node, yaml.ScalarNode) or self.scalar() is None:
            raise self.error("must be text")
        return str(self.node.value)

    def texts(self) -> tuple[str, ...]:
        """A list of texts."""
        return tuple(item.text() for item in self.items())

    def mapping_of_texts(self) -> dict[str, str]:
        """A mapping from text to text."""
        return {key: "" if value.scalar() is None else value.text() for key, value in self.pairs()}

    def flag(self) -> bool:
        """A truth value."""
        value = self.scalar()
        if not isinstance(value, bool):
            raise self.error("must be true or false")
        return value

    def number(self, least: float = 0.0) -> float:
        """A number of at least `least`."""
        value = self.scalar()
        # Neither infinite, nor too long for a float, nor not a number at all: no comparison with that is true.
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= sys.float_info.max:
            raise self.error(f"must be a number of at least {least:g}, not {value!r}")
        return float(value)

    def count(self, least: int = 0, most: int = 1_000_000) -> int:
        """A whole number from `least` to `most`."""
        value = self.scalar()
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(f"must be a whole number from {least} to {most}, not {value!r}")
        return value

    def seconds(self, least: float = 0.0) -> float:
        """Seconds in `30s`, `5m`, `1h` or a plain number of seconds."""
        found = _SPAN.match(self.text())
        if found is None:
            raise self.error(f"{self.text()!r} is not a time: write a number and a unit, such as 30s or 5m")
        span = float(found[1]) * _SECONDS[found[2]]
        if span < least:
            raise self.error(f"must be at least {least:g} seconds")
        return span

    def amount(self, kind: str, of: int | None = None) -> int:
        """An amount of one resource (a key of `KEYS`) in the unit of `Resources`; `50%` means of `of`, if given."""
        text = self.text()
        percent = _PERCENT.match(text)
        if percent is not None:
            if of is None:
                raise self.error("a percentage has nothing to refer to here; write an amount")
            if float(percent[1]) > 100:
                raise self.error("must not be above 100%")
            return math.floor(of * float(percent[1]) / 100)
        if kind in ("memory", "nvme"):
            try:
                found = parse_bytes(text)
            except ValueError as wrong:
                raise self.error(str(wrong)) from None
            except OverflowError:
                found = _LARGEST + 1
        else:
            found = round(min(self.number(), float(_LARGEST)) * 1000)
        if found > _LARGEST:
            raise self.error("is more than there can be; write a smaller amount")
        return found

    def resources(self, of: Resources | None = None) -> Resources:
        """`{cores: 2, memory: 4G, gpus: 0, nvme: 0}`; what is absent is zero."""
        return Resources(
            **{
                KEYS[key]: reader.amount(key, None if of is None else getattr(of, KEYS[key]))
                for key, reader in self.fields(KEYS).items()
            }
        )


def read_text(text: str, source: str) -> Reader | None:
    """The top of a YAML document; None if it is empty. Raises ConfigError where it is not YAML."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as wrong:
        line = wrong.problem_mark.line + 1 if wrong.problem_mark else 0
        raise ConfigError(f"{source}, line {line}: is not YAML: {wrong.problem or wrong.context}") from None
    except yaml.YAMLError as wrong:
        raise ConfigError(f"{source}: is not YAML: {wrong}") from None
    return None if node is None else Reader(node, "", source)


def read_file(path: Path) -> Reader | None:
    """As `read_text`, from a file. Raises ConfigError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise ConfigError(f"{path} cannot be read: {wrong}") from None
    return read_text(text, path.name)
