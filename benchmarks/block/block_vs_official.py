"""The block against a client that does the official block's calls, one sample after the other; in one run.

    python -m benchmarks.block.block_vs_official [--samples 500] [--official 40] [--latency 0.1]

Every HTTP call, to Studio and to the remote detector, takes `--latency` longer. The official way is measured
on `--official` of the samples, over connections that are kept open (the official block opens new ones for
pictures and detections), without its start; ours is `labelbus block owl-vit` as a process, start included,
with a ledger of its own.
"""

import argparse
import base64
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from benchmarks.block.stand_ins import AGAIN, KEY, TOKEN, World, stand_ins

Mode = Literal["apply", "preview"]
PROMPT: Final = (
    "red circle (red circle, 0.45)\nblue square (blue square, 0.45)\ngreen triangle (green triangle, 0.45)"
)
OFFICIAL_CALLS: Final = {"apply": 4, "preview": 3}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one way took, and its calls to Studio by route."""

    samples: int
    seconds: float
    calls: Counter[str]
    cpu_s: float = 0.0

    @property
    def rate(self) -> float:
        """Return samples per second."""
        return self.samples / self.seconds

    @property
    def calls_per_sample(self) -> float:
        """Return calls per sample, those that check for conflicts left out."""
        return (self.calls.total() - 2 * self.calls[AGAIN]) / self.samples  # counted as `get-sample` too


def official(world: World, ids: Sequence[int], mode: Mode) -> Measured:
    """Do as the official block does: sample, picture, detection, then the writes, each after the other."""
    world.calls()
    started = time.perf_counter()
    job_id = world.preview_jobs[0] if mode == "preview" else None
    with httpx.Client(headers={"x-api-key": KEY}, timeout=60) as studio, httpx.Client(timeout=60) as beam:
        for sample_id in ids:
            _official_one(
                f"{world.studio}/api/{world.project_id}/raw-data/{sample_id}",
                studio,
                beam,
                world.beam,
                job_id,
            )
    return Measured(len(ids), time.perf_counter() - started, world.calls())


def _official_one(
    url: str, studio: httpx.Client, beam: httpx.Client, endpoint: str, job_id: int | None
) -> None:
    params = {"proposedActionsJobId": job_id} if job_id is not None else {}
    sample = studio.get(url, params=params).raise_for_status().json()["sample"]
    image = studio.get(f"{url}/image").raise_for_status().content
    phrases = [line.partition(" (")[0] for line in PROMPT.splitlines()]
    body = {"base64_image": base64.b64encode(image).decode(), "labels": phrases}
    answer = beam.post(endpoint, json=body, headers={"Authorization": f"Bearer {TOKEN}"})
    boxes = [*sample["boundingBoxes"], *map(_box, answer.raise_for_status().json()["predictions"])]
    metadata = {**(sample.get("metadata") or {}), "labeled_by": "owlv2", "prompt": PROMPT}
    if job_id is not None:
        proposed = {"jobId": job_id, "proposedChanges": {"boundingBoxes": boxes, "metadata": metadata}}
        _done(studio.post(f"{url}/propose-changes", json=proposed))
        return
    _done(studio.post(f"{url}/bounding-boxes", json={"boundingBoxes": boxes}))
    _done(studio.post(f"{url}/metadata", json={"metadata": metadata}))


def _box(prediction: dict[str, Any]) -> dict[str, Any]:
    box = prediction["box"]
    size = {"width": box["xmax"] - box["xmin"], "height": box["ymax"] - box["ymin"]}
    return {"label": prediction["label"], "x": box["xmin"], "y": box["ymin"], **size}


def _done(answer: httpx.Response) -> None:
    assert answer.raise_for_status().json()["success"], answer.text


def block(world: World, ids: Sequence[int], mode: Mode) -> Measured:
    """Run `labelbus block owl-vit` as a process, from its start to its exit."""
    world.calls()
    with tempfile.TemporaryDirectory() as folder:
        ids_file = Path(folder, "ids.json")
        ids_file.write_text(json.dumps(list(ids)))
        command = [sys.executable, "-c", "from labelbus_cli.main import run; run()", "block", "owl-vit"]
        command += [
            "--data-ids-file",
            str(ids_file),
            "--prompt",
            PROMPT,
            "--delete_existing_bounding_boxes",
            "no",
        ]
        if mode == "preview":
            command += ["--propose-actions", str(world.preview_jobs[1])]
        started, cpu_s = time.perf_counter(), _children_cpu_s()
        ended = subprocess.run(
            command, env=_environment(world, folder), cwd=folder, text=True, capture_output=True
        )
        seconds, cpu_s = time.perf_counter() - started, _children_cpu_s() - cpu_s
    if ended.returncode:
        raise SystemExit(f"the block failed:\n{ended.stdout}{ended.stderr}")
    return Measured(len(ids), seconds, world.calls(), cpu_s)


def _children_cpu_s() -> float:
    """Return the CPU time of processes that have ended and been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment(world: World, folder: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LABELBUS_", "EI_"))}
    return kept | {
        "EI_API_ENDPOINT": world.studio,
        "EI_PROJECT_API_KEY": KEY,
        "BEAM_ENDPOINT": world.beam,
        "BEAM_ACCESS_KEY": TOKEN,
        "LABELBUS_HOME": folder,
    }


def main() -> None:
    """Measure both ways and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument(
        "--official", type=int, default=40, help="samples on which the official way is measured"
    )
    parser.add_argument("--latency", type=float, default=0.1, help="seconds added to every HTTP call")
    parser.add_argument("--modes", nargs="+", choices=("preview", "apply"), default=("preview", "apply"))
    given = parser.parse_args()
    with stand_ins(given.samples + given.official, given.latency) as world:
        for mode in given.modes:
            theirs = official(world, world.ids[: given.official], mode)
            ours = block(world, world.ids[given.official :], mode)
            _show(mode, theirs, ours)


def _show(mode: Mode, theirs: Measured, ours: Measured) -> None:
    print(
        f"{mode}: official {theirs.rate:.2f} samples/s ({theirs.samples} samples), "
        f"block {ours.rate:.1f} samples/s ({ours.samples} samples in {ours.seconds:.1f} s, "
        f"start included; {ours.cpu_s:.1f} s CPU): {ours.rate / theirs.rate:.1f} times"
    )
    for name, one in (("official", theirs), ("block", ours)):
        routes = ", ".join(
            f"{route} {number}" for route, number in sorted(one.calls.items()) if route != AGAIN
        )
        again = f"; {one.calls[AGAIN]} of them re-reads for conflicts" if one.calls[AGAIN] else ""
        print(f"  {name}: {one.calls_per_sample:.2f} Studio calls per sample ({routes}{again})", flush=True)
    assert ours.calls_per_sample <= OFFICIAL_CALLS[mode], ours.calls


if __name__ == "__main__":
    main()
