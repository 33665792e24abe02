"""Dispatch to commit in one process: a labeler that adds one box, a Studio that answers at once.

    python -m benchmarks.dispatch.end_to_end --samples 10000 50000

Prints samples per second and the peak memory of the process, per number of samples. Each size runs in a
process of its own, so that one does not hide the memory of another.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from labelbus_cli.embedded import Embedded
from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.ids import JobId, ProjectId, SampleId, SecretName
from labelbus_contracts.jobs import MAX_IDS_PER_MESSAGE, ActionSpec, Selection, StepSpec
from labelbus_contracts.labels import BoundingBox, LabelSet, SampleFacts
from labelbus_contracts.v1.commands import AddSamples, SubmitJob
from labelbus_contracts.v1.message import message_id
from labelbus_labeling.labeler import Labeled, Labeler, LabelerParameters, LabelTask, Registration
from labelbus_ledger import job_rows, sample_rows
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger
from labelbus_ledger.settings import LedgerSettings
from labelbus_runtime import loop
from labelbus_runtime.logging import configure_logging
from labelbus_runtime.settings import RuntimeSettings
from labelbus_studio.client import StudioClient
from labelbus_studio.project_calls import Project, ProjectInfo
from labelbus_studio.samples import Sample
from pydantic import SecretStr

PROJECT = ProjectId(1)
JOB = JobId("benchmark")
_FACTS = SampleFacts(kind="image", width=640, height=480, labeling_method="object_detection")


class InstantStudio:
    """A client that answers every call at once, and forgets what is written."""

    async def project_info(self, project_id: int) -> ProjectInfo:
        return ProjectInfo(
            Project(id=ProjectId(project_id), name="benchmark", labeling_method="object_detection")
        )

    async def read_samples(self, project_id: int, ids: Sequence[int], **_: object) -> Mapping[int, Sample]:
        return {sample_id: _sample(sample_id) for sample_id in ids}

    async def read_sample(self, project_id: int, sample_id: int, **_: object) -> Sample:
        return _sample(sample_id)

    async def set_bounding_boxes(self, *_: object) -> None: ...

    async def set_metadata(self, *_: object) -> None: ...


class InstantAccess:
    """Hands out the one client."""

    def __init__(self) -> None:
        self._client = InstantStudio()

    async def client(self, project_id: ProjectId, secret_name: SecretName) -> StudioClient:
        return cast(StudioClient, self._client)

    async def secret(self, project_id: ProjectId, secret_name: SecretName) -> SecretStr:
        return SecretStr("unused")


class OneBox:
    """A labeler that adds the same box to every sample."""

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        return [Labeled(_with_box(task.draft, task.source)) for task in batch]


def _with_box(draft: LabelSet, source: str) -> LabelSet:
    box = BoundingBox(label="thing", x=10, y=20, width=30, height=40, score=0.9, source=source)
    return draft.model_copy(update={"boxes": (*draft.boxes, box)})


def _sample(sample_id: int) -> Sample:
    return Sample(id=SampleId(sample_id), facts=_FACTS, labels=LabelSet())


def _make(_: Mapping[str, str]) -> Labeler:
    return OneBox()


ONE_BOX = Registration(
    name="one-box",
    title="One box",
    operates_on=frozenset({"images_object_detection"}),
    parameters=LabelerParameters,
    make=_make,
    capacity=128,
    max_batch=64,
)


async def run(folder: Path, number: int) -> dict[str, float]:
    """Label and commit `number` samples; answer seconds and MiB."""
    configure_logging(RuntimeSettings(log_level="WARNING"))
    ledger = await Ledger.open(LedgerSettings(home=folder, database_url=None))
    access = cast(StudioAccess, InstantAccess())
    started = time.perf_counter()
    embedded = Embedded(
        ledger, access, known={"one-box": ONE_BOX}, opened=["one-box"], committer=CommitterSettings()
    )
    async with embedded:
        before_mib = _peak_mib()
        await _submit(embedded, ledger, number)
        counts = await _ended(embedded, ledger)
    elapsed_s = time.perf_counter() - started
    await ledger.close()
    assert counts == {"committed": number}, counts
    return {"samples": number, "seconds": elapsed_s, "peak_mib": _peak_mib(), "start_mib": before_mib}


async def _total(ledger: Ledger) -> int:
    async with ledger.read() as connection:
        head = await job_rows.job_head(connection, JOB)
    return 0 if head is None else head.total


async def _ended(embedded: Embedded, ledger: Ledger) -> dict[str, int]:
    while True:
        if stopped := embedded.carrier.stopped_workers:
            raise SystemExit("\n".join(stopped.values()))
        async with ledger.read() as connection:
            head = await job_rows.job_head(connection, JOB)
            if head is not None and head.has_ended:
                return await sample_rows.counts(connection, JOB)
        await asyncio.sleep(0.1)


async def _submit(embedded: Embedded, ledger: Ledger, number: int) -> None:
    """Bring the ids as a pipeline does: the next ones when the last are taken."""
    submit = SubmitJob(
        id=message_id("submit_job", JOB),
        job_id=JOB,
        project_id=PROJECT,
        secret=SecretName("env:UNUSED"),
        action=ActionSpec(name="benchmark", steps=(StepSpec(labeler="one-box"),)),
        selection=Selection(ids=_ids(1, number), more_follow=number > MAX_IDS_PER_MESSAGE),
        mode="apply",
    )
    await embedded.carrier.publish([submit])
    for first in range(1 + MAX_IDS_PER_MESSAGE, number + 1, MAX_IDS_PER_MESSAGE):
        while await _total(ledger) < first - 1:  # noqa: ASYNC110 - the ledger has no event to wait for
            await asyncio.sleep(0.05)
        ids = _ids(first, number)
        message = message_id("add_samples", JOB, first)
        await embedded.carrier.publish([AddSamples(id=message, job_id=JOB, ids=ids, last=ids[-1] == number)])


def _ids(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, min(first + MAX_IDS_PER_MESSAGE, last + 1)))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Run every size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--one", action="store_true", help="run in this process and print JSON")
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(loop.run(run(Path(folder), options.samples[0]))))
        return
    print(f"{datetime.now(UTC):%Y-%m-%d}  dispatch -> commit, one process, SQLite")
    first = None
    for number in options.samples:
        command = [sys.executable, "-m", "benchmarks.dispatch.end_to_end", "--one", "--samples", str(number)]
        result = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        first = first or result
        rate = result["samples"] / result["seconds"]
        growth = result["peak_mib"] / first["peak_mib"]
        print(
            f"{number:>10,} samples  {rate:>8,.0f} samples/s  peak {result['peak_mib']:.0f} MiB"
            f"  ({growth:.2f}x the first)"
        )


if __name__ == "__main__":
    main()
