"""60 s clips in 1 s windows: the official flow against ours, on the same endpoint with 100 ms latency.

    python -m benchmarks.audio.audio_vs_official --clips 20

The official flow is written anew from its description: one request after the other, each on a connection of
its own, the last window twice; it is measured on `--official` clips. Ours is the block `audio` as a process
of its own, from its start to its end. Prints seconds per clip, calls per clip and the ratio.
"""

import argparse
import io
import json
import math
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import wave
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from labelbus_simulator import Studio, serve
from labelbus_simulator.models import Desk, huggingface_app, serve_model

KEY = "ei_" + "0" * 32
RATE, SECONDS, WINDOW_MS = 16_000, 60.0, 1000
LATENCY_S = 0.1
LABELS = "sine wave\nwhite noise"


def main() -> None:
    """Measure and print."""
    arguments = _arguments()
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_serve, args=(theirs, arguments.clips), daemon=True
    )
    process.start()
    studio, endpoint, ids = ours.recv()
    started = time.perf_counter()
    for sample_id in ids[: arguments.official]:
        _official(studio, endpoint, sample_id)
    official_s = (time.perf_counter() - started) / arguments.official
    ours.send("count")
    official_calls = ours.recv() / arguments.official
    started = time.perf_counter()
    _ours(studio, endpoint, ids)
    our_s = (time.perf_counter() - started) / len(ids)
    ours.send("count")
    our_calls = ours.recv() / len(ids)
    ours.send("end")
    process.join(10)
    print(f"official: {official_s:.3f} s and {official_calls:.0f} calls per clip")
    print(f"labelbus: {our_s:.3f} s and {our_calls:.0f} calls per clip ({len(ids)} clips, start included)")
    print(f"ratio:    {official_s / our_s:.1f}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--official", type=int, default=2)
    return parser.parse_args()


def _serve(pipe: Connection, clips: int) -> None:
    """Serve Studio and the endpoint in a process of their own; answer how many calls the endpoint got."""
    studio, desk = Studio(), Desk(latency_s=LATENCY_S)
    project = studio.add_project("Sounds", labeling_method="single_label", key=KEY)
    ids = project.add_audio(clips, rate=RATE, seconds=SECONDS, pieces=7)
    with serve(studio) as address, serve_model(huggingface_app(desk)) as endpoint:
        pipe.send((address, f"{endpoint}/ast", ids))
        while pipe.recv() == "count":
            pipe.send(len(desk.requests))
            desk.requests.clear()


def _official(studio: str, endpoint: str, sample_id: int) -> None:
    """Label one clip as the official block does."""
    sample = json.loads(_call(f"{studio}/api/1/raw-data/{sample_id}"))["sample"]
    with wave.open(io.BytesIO(_call(f"{studio}/api/1/raw-data/{sample_id}/wav?axisIx=0"))) as file:
        values = file.readframes(file.getnframes())
    size, count = math.ceil(WINDOW_MS * sample["frequency"] / 1000), sample["valuesCount"]
    ranges = []
    for start in [*range(0, count - size + 1, size), count - size]:
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(values[2 * start : 2 * (start + size)])
        heard = json.loads(_call(endpoint, buffer.getvalue()))
        found = [one["label"].lower() for one in heard if one["score"] >= 0.2]
        label = next((one for one in found if one in LABELS.splitlines()), "other")
        ranges.append({"startIndex": start, "endIndex": min(start + size, count - 1), "label": label})
    _write(f"{studio}/api/1/raw-data/{sample_id}/structured-labels", {"structuredLabels": ranges})
    _write(f"{studio}/api/1/raw-data/{sample_id}/metadata", {"metadata": {"labeled_by": "official"}})


def _ours(studio: str, endpoint: str, ids: Sequence[int]) -> None:
    """Label all clips by the block."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ids.json"
        file.write_text(json.dumps(list(ids)))
        environ = {
            **os.environ,
            "LABELBUS_HOME": folder,
            "EI_API_ENDPOINT": studio,
            "EI_PROJECT_API_KEY": KEY,
            "HF_INFERENCE_ENDPOINT": endpoint,
        }
        options = {
            "data-ids-file": file,
            "audioset-labels": LABELS,
            "win-size-ms": 1000,
            "win-stride-ms": 1000,
        }
        given = [text for name, value in options.items() for text in (f"--{name}", str(value))]
        command = [sys.executable, "-c", "from labelbus_cli.main import run; run()", "block", "audio", *given]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)


def _call(url: str, data: bytes | None = None, **headers: str) -> bytes:
    request = urllib.request.Request(url, data, {"x-api-key": KEY, **headers})
    with urllib.request.urlopen(request, timeout=60) as answer:
        body: bytes = answer.read()
    return body


def _write(url: str, body: dict[str, Any]) -> None:
    _call(url, json.dumps(body).encode(), **{"Content-Type": "application/json"})


if __name__ == "__main__":
    main()
