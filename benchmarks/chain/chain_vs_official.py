"""A chain, find and name, against the two official blocks one after the other; in one run.

    python -m benchmarks.chain.chain_vs_official [--samples 500] [--official 500] [--latency 0.1]

Every HTTP call, to Studio, to the remote detector and to the vision model, takes `--latency` longer. Both
ways label equal pictures and are asked for the same boxes and names, which are compared before the times.

The official way is written anew from the description of the two blocks: what each calls for a sample, in
which order, and how many samples at a time (`--concurrency`, where a block takes it: the second one does).
Its start and its 100 ms polling for a free query are left out, and its connections are kept open; all three
are in its favour. Ours is `labelbus run ACTION --apply` as a process, start and report included, with a
ledger of its own and the same concurrency.
"""

import argparse
import asyncio
import base64
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from PIL import Image

from benchmarks.block.stand_ins import TOKEN
from benchmarks.chain.stand_ins import OBJECTS, Counts, Side, World, stand_ins

FOUND: Final = "thing"
SOUGHT: Final = tuple(map(" ".join, OBJECTS))
PROMPT: Final = "\n".join(f"{one} ({FOUND}, 0.45)" for one in SOUGHT)
QUESTION: Final = "What is this? Say its colour and its shape."
MODEL: Final = "simulated"
WRITES: Final = ("set-boxes", "set-metadata")


@dataclass(frozen=True, slots=True)
class Measured:
    """What one way took, and its calls."""

    samples: int
    seconds: float
    counts: Counts

    @property
    def rate(self) -> float:
        """Return samples per second."""
        return self.samples / self.seconds


class Official:
    """Does what the two official blocks do to the first samples of a project."""

    def __init__(self, world: World, samples: int, concurrency: int) -> None:
        """Take the world, and how many samples and questions the second block has under way at a time."""
        self._world = world
        self._side = world.official
        self._ids = world.official.ids[:samples]
        self._concurrency = concurrency
        self._studio = httpx.AsyncClient(headers={"x-api-key": self._side.key}, timeout=60)
        self._models = httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
        self._questions = asyncio.Semaphore(concurrency)

    async def run(self) -> None:
        """Run both blocks, one after the other."""
        async with self._studio, self._models:
            for sample_id in self._ids:
                await self._find(sample_id)
            samples = await self._listed()
            await _at_a_time(self._concurrency, self._rename, samples)

    async def _find(self, sample_id: int) -> None:
        """Find boxes in one sample: sample, picture, detection, boxes, metadata."""
        sample = (await self._get(f"raw-data/{sample_id}")).json()["sample"]
        picture = (await self._get(f"raw-data/{sample_id}/image")).content
        body = {"base64_image": base64.b64encode(picture).decode(), "labels": list(SOUGHT)}
        answer = await self._models.post(self._world.beam, json=body)
        found = map(_found, answer.raise_for_status().json()["predictions"])
        boxes = [*sample["boundingBoxes"], *found]
        metadata = {**(sample.get("metadata") or {}), "labeled_by": "owlv2", "prompt": PROMPT}
        await self._write(sample_id, "bounding-boxes", {"boundingBoxes": boxes})
        await self._write(sample_id, "metadata", {"metadata": metadata})

    async def _listed(self) -> list[dict[str, Any]]:
        """Page through all of training and all of testing, until an empty page; keep the wanted samples."""
        wanted, kept = set(self._ids), []
        for category in ("training", "testing"):
            offset = 0
            while True:
                query = f"raw-data?category={category}&limit=1000&offset={offset}&labels="
                page = (await self._get(query)).json()["samples"]
                if not page:
                    break
                kept += [sample for sample in page if sample["id"] in wanted]
                offset += len(page)
        return sorted(kept, key=lambda sample: int(sample["id"]))

    async def _rename(self, sample: dict[str, Any]) -> None:
        """Name the boxes of one sample: picture, a question for each box at once, boxes."""
        picture = (await self._get(f"raw-data/{sample['id']}/image")).content
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        boxes = await asyncio.gather(*(self._named(box, image) for box in sample["boundingBoxes"]))
        await self._write(sample["id"], "bounding-boxes", {"boundingBoxes": boxes})

    async def _named(self, box: dict[str, Any], image: Image.Image) -> dict[str, Any]:
        crop = io.BytesIO()
        corners = (box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"])
        image.crop(corners).save(crop, "JPEG", quality=90)
        url = "data:image/jpeg;base64," + base64.b64encode(crop.getvalue()).decode()
        content = [
            {"type": "text", "text": QUESTION},
            {"type": "image_url", "image_url": {"url": url, "detail": "auto"}},
        ]
        body = {"model": MODEL, "messages": [{"role": "user", "content": content}]}
        async with self._questions:
            answer = await self._models.post(f"{self._world.vision}/v1/chat/completions", json=body)
        said = str(answer.raise_for_status().json()["choices"][0]["message"]["content"])
        return {**box, "label": said.lower().rstrip(".")}

    async def _get(self, path: str) -> httpx.Response:
        return (await self._studio.get(self._url(path))).raise_for_status()

    async def _write(self, sample_id: int, what: str, body: dict[str, Any]) -> None:
        answer = await self._studio.post(self._url(f"raw-data/{sample_id}/{what}"), json=body)
        assert answer.raise_for_status().json()["success"], answer.text

    def _url(self, path: str) -> str:
        return f"{self._world.studio}/api/{self._side.project_id}/{path}"


def official(world: World, samples: int, concurrency: int) -> Measured:
    """Measure the official way."""
    world.counts()
    started = time.perf_counter()
    asyncio.run(Official(world, samples, concurrency).run())
    return Measured(samples, time.perf_counter() - started, world.counts())


def labelbus(world: World, concurrency: int) -> Measured:
    """Measure `labelbus run` as a process, from its start to its exit."""
    world.counts()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "ids.json").write_text(json.dumps(world.labelbus.ids))
        Path(folder, "action.yaml").write_text(json.dumps(_action(concurrency)))
        command = [sys.executable, "-c", "from labelbus_cli.main import run; run()", "run", "action.yaml"]
        command += ["--data-ids-file", "ids.json", "--apply", "--yes"]
        environ = _environment(world, world.labelbus, folder)
        started = time.perf_counter()
        ended = subprocess.run(command, env=environ, cwd=folder, text=True, capture_output=True)
        seconds = time.perf_counter() - started
    if ended.returncode:
        raise SystemExit(f"labelbus failed:\n{ended.stdout}{ended.stderr}")
    return Measured(len(world.labelbus.ids), seconds, world.counts())


def _action(concurrency: int) -> dict[str, Any]:
    relabel = {"which_labels": FOUND, "prompt": QUESTION, "concurrency": concurrency}
    steps = [
        {"labeler": "owl-vit", "parameters": {"prompt": PROMPT}},
        {"labeler": "relabel", "parameters": relabel},
    ]
    return {"name": "find and name", "steps": steps}


def _environment(world: World, side: Side, folder: str) -> dict[str, str]:
    own = ("LABELBUS_", "EI_", "OPENAI_", "AZURE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return kept | {
        "EI_API_ENDPOINT": world.studio,
        "EI_PROJECT_API_KEY": side.key,
        "BEAM_ENDPOINT": world.beam,
        "BEAM_ACCESS_KEY": TOKEN,
        "OPENAI_BASE_URL": f"{world.vision}/v1",
        "OPENAI_API_KEY": TOKEN,
        "OPENAI_MODEL": MODEL,
        "LABELBUS_HOME": folder,
    }


def main() -> None:
    """Measure both ways, compare what they left in Studio, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--official", type=int, help="samples on which the official way is measured; all")
    parser.add_argument("--latency", type=float, default=0.1, help="seconds added to every HTTP call")
    parser.add_argument("--concurrency", type=int, default=10, help="of the step that names, on both sides")
    given = parser.parse_args()
    with stand_ins(given.samples, given.latency) as world:
        cpu_s = _children_cpu_s()
        ours = labelbus(world, given.concurrency)
        cpu_s = _children_cpu_s() - cpu_s
        theirs = official(world, given.official or given.samples, given.concurrency)
        _compare(world, theirs.samples)
    _show("official", theirs)
    _show("labelbus", ours)
    print(f"ratio: {ours.rate / theirs.rate:.1f} (start included, {cpu_s:.1f} s of CPU)")
    assert ours.counts.most("get-image") <= 1, "a picture was read twice"
    assert all(ours.counts.most(kind) <= 1 for kind in WRITES), "a sample was written twice"


def _compare(world: World, samples: int) -> None:
    theirs, ours = (world.boxes(side)[:samples] for side in (world.official, world.labelbus))
    assert sum(map(len, theirs)) > len(theirs), "hardly anything was found"
    assert theirs == ours, "the two ways left different boxes"
    assert all(box[0] != FOUND for boxes in ours for box in boxes), "a box has no name"


def _show(name: str, one: Measured) -> None:
    calls = ", ".join(
        f"{route} {number / one.samples:.2f}" for route, number in sorted(one.counts.routes.items())
    )
    studio = one.counts.routes.total() / one.samples
    print(
        f"{name}: {one.rate:.2f} samples/s ({one.samples} samples in {one.seconds:.1f} s); per sample "
        f"{studio:.2f} Studio calls ({calls}), {one.counts.detected / one.samples:.2f} of the detector, "
        f"{one.counts.asked / one.samples:.2f} of the vision model",
        flush=True,
    )


async def _at_a_time(
    number: int, work: Callable[[dict[str, Any]], Awaitable[None]], samples: Iterable[dict[str, Any]]
) -> None:
    """Work on so many samples at a time."""
    waiting = iter(samples)

    async def worker() -> None:
        for sample in waiting:
            await work(sample)

    await asyncio.gather(*(worker() for _ in range(number)))


def _found(prediction: dict[str, Any]) -> dict[str, Any]:
    box = prediction["box"]
    size = {"width": box["xmax"] - box["xmin"], "height": box["ymax"] - box["ymin"]}
    return {"label": FOUND, "x": box["xmin"], "y": box["ymin"], **size}


def _children_cpu_s() -> float:
    """Return the CPU time of processes that have ended and been waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
