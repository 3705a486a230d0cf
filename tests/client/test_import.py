"""What `import emberhub` needs, and what it offers."""

from __future__ import annotations

import subprocess
import sys

import emberhub
import pytest

ALONE = """
import sys

ALLOWED = {"emberhub", "msgspec"}

class OnlyTheseTwo:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names and not top.startswith("__editable__"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, OnlyTheseTwo())
import emberhub
for name in emberhub.__all__:
    getattr(emberhub, name)
try:
    emberhub.cluster()
except emberhub.NotInHub as error:
    print(error)
import emberhub.cli, emberhub.wire.agent, emberhub.wire.driver
try:
    import pyspark
except ModuleNotFoundError:
    print("and nothing else can be imported")
"""


def test_it_imports_with_msgspec_alone() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE], capture_output=True, text=True, timeout=60, env={}, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "EMBERHUB_URL" in ran.stdout
    assert "and nothing else can be imported" in ran.stdout


def test_all_names_exactly_what_the_package_offers() -> None:
    assert emberhub.__all__ == sorted(emberhub.__all__, key=lambda name: (name.islower(), name))
    for name in emberhub.__all__:
        value = getattr(emberhub, name)
        assert value.__module__.startswith("emberhub."), name
        assert value.__doc__, f"{name} says nothing of itself"
    assert set(emberhub.__all__) <= set(dir(emberhub))


def test_a_name_that_it_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="clutser"):
        emberhub.clutser  # noqa: B018
