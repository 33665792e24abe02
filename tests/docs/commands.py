"""Commands of a page: its fenced blocks, run as they stand in a fresh home, with the toy model."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

_BLOCK = re.compile(r"^```bash (\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PORT = re.compile(r"(127\.0\.0\.1:|--port )([48]\d{3})\b")
_WITHIN_S = 600  # seconds on a quiet machine: under one minute each
_END = "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\nset -euo pipefail\n"


def fenced(page: Path, *kinds: str) -> list[str]:
    """Return the `bash` blocks of these kinds, in order."""
    return [body for kind, body in _BLOCK.findall(page.read_text()) if kind in kinds]


def run(script: str, folder: Path, **environ: str) -> str:
    """Run a script in a folder of its own and return all it prints; it must succeed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("LABELBUS_", "EI_", "BEAM_"))
    }
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", _END + _elsewhere(script)],
        cwd=folder,
        env={**kept, "PATH": path, "LABELBUS_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_WITHIN_S,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def _elsewhere(script: str) -> str:
    """Put free ports in the place of README's, each the same one throughout."""
    free = {port: str(_free_port()) for _, port in set(_PORT.findall(script))}
    return _PORT.sub(lambda match: match[1] + free[match[2]], script)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
