"""The demo: a simulated Studio, a preview of its pictures, the application, a report, a picture sheet."""

import asyncio
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.ids import JobId, ProjectId
from labelbus_contracts.jobs import ActionSpec, StepSpec
from labelbus_contracts.labels import BoundingBox
from labelbus_ledger import reports
from labelbus_ledger.reports import JobRow, SampleChange
from labelbus_runtime.settings import load
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from labelbus_cli.accuracy import Accuracy, accuracy
from labelbus_cli.errors import BadInput
from labelbus_cli.once import show, work_for
from labelbus_cli.pictures import scaled
from labelbus_cli.plan import Wish
from labelbus_cli.progress import new_display
from labelbus_cli.runner import Outcome, carry_out
from labelbus_cli.session import Session, configure_logs, opened
from labelbus_cli.sheet import Cell, draw_sheet

if TYPE_CHECKING:
    from labelbus_simulator import Project

_KEY = "ei_demo_of_labelbus_0000000000000000"
_CONFIDENCE = 0.45
_SHEET_CELLS = 24
_SEED = 7


async def demonstrate(folder: Path, images: int, *, new: bool) -> int:
    """Run the demo; what an earlier one left in `folder` is gone on with. Returns the exit code."""
    await asyncio.to_thread(_prepare, folder, new)
    with _simulated(images) as (endpoint, project), _environment(folder, endpoint):
        configure_logs()
        typer.echo(f"A simulated Studio holds {images} generated pictures: {endpoint}")
        async with opened() as session:
            return await _both(session, project, folder)


def _prepare(folder: Path, new: bool) -> None:
    if new:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


async def _both(session: Session, project: "Project", folder: Path) -> int:
    wish = _wish(session, tuple(sorted(project.samples)))
    source = await _waiting_preview(session)
    if source is None:
        typer.echo("Preview: the toy OWLv2 model searches for coloured shapes; nothing is written.")
        preview = await _done(session, wish)
        if preview.exit_code:
            await show(session, preview, folder / "report.html")
            return preview.exit_code
        source = preview.job.job_id
    await _remember(session, project, source)
    typer.echo("Apply: what was proposed is written, without computing it again.")
    applied = await _done(session, _applying(wish, source))
    await _close(session, project, applied, folder)
    return applied.exit_code


async def _done(session: Session, wish: Wish) -> Outcome:
    display = new_display()
    work = await work_for(session, wish, display, new=False, hint=" --new starts another one.")
    return await carry_out(session, work, display, committer=load(CommitterSettings))


async def _waiting_preview(session: Session) -> str | None:
    """Return the preview whose application an earlier demo did not finish."""
    async with session.ledger.read() as connection:
        job = await _newest(connection)
    if job is None:
        return None
    if job.mode == "preview":
        return job.job_id if job.state == "finished" else None
    return job.submit.source_job_id if job.ended_at is None else None


async def _remember(session: Session, project: "Project", source: str) -> None:
    """Give the simulated Studio, which forgets, what an interrupted application of `source` wrote."""
    async with session.ledger.read() as connection:
        job = await _newest(connection)
        if job is None or job.submit.source_job_id != source:
            return
        async for change in reports.changes(connection, job.job_id):
            sample = project.samples[change.sample_id]
            sample.boxes = [_as_studio(box) for box in change.after.boxes]
            sample.metadata = dict(change.after.metadata)


async def _newest(connection: AsyncConnection) -> JobRow | None:
    found = await reports.list_jobs(connection, limit=1)
    return await reports.find_job(connection, found[0].job_id) if found else None


def _as_studio(box: BoundingBox) -> dict[str, str | int]:
    label, x, y, width, height = box.content
    return {"label": label, "x": x, "y": y, "width": width, "height": height}


async def _close(session: Session, project: "Project", outcome: Outcome, folder: Path) -> None:
    await show(session, outcome, folder / "report.html")
    sheet = await _sheet(session, outcome.job, folder / "sheet.png")
    typer.echo(f"Pictures: {sheet.absolute().as_uri()}")
    typer.echo(_measured(project).sentence())


def _wish(session: Session, ids: tuple[int, ...]) -> Wish:
    from labelbus_simulator.shapes import KINDS

    names = [f"{color} {shape}" for color, shape in KINDS]
    prompt = "\n".join(f"{name} ({name}, {_CONFIDENCE})" for name in names)
    parameters: dict[str, JsonValue] = {
        "prompt": prompt,
        "nms": True,
        "delete_existing_bounding_boxes": "matching-prompt",
    }
    step = StepSpec(labeler="owl-vit", parameters=parameters)
    action = ActionSpec(name="Coloured shapes", steps=(step,))
    return Wish(project_id=session.project.id, action=action, ids=ids, mode="preview")


def _applying(wish: Wish, source: str) -> Wish:
    return Wish(
        project_id=wish.project_id,
        action=wish.action,
        ids=None,
        mode="apply",
        source_job_id=JobId(source),
    )


async def _sheet(session: Session, job: JobRow, path: Path) -> Path:
    async with session.ledger.read() as connection:
        found = [change async for change in reports.changes(connection, job.job_id)]
    most = sorted(found, key=lambda one: (-one.difference.size, one.sample_id))[:_SHEET_CELLS]
    cells = await asyncio.gather(*(_cell(session, change) for change in most))
    image = draw_sheet(cells)
    await asyncio.to_thread(image.save, path)
    return path


async def _cell(session: Session, change: SampleChange) -> Cell:
    data = await session.client.image(ProjectId(session.project.id), change.sample_id)
    return Cell(scaled(data, change.facts, widest=440), change.after, change.facts.filename)


def _measured(project: "Project") -> Accuracy:
    """Compare the boxes that the simulated Studio holds now with what was drawn."""
    total = Accuracy()
    for sample_id, sample in project.samples.items():
        truth: Sequence[Any] = project.truth[sample_id]
        wanted = [BoundingBox.model_validate(shape.box()) for shape in truth]
        held = [BoundingBox.model_validate(box) for box in sample.boxes]
        total = total + accuracy(held, wanted)
    return total


@contextmanager
def _simulated(images: int) -> "Iterator[tuple[str, Project]]":
    try:
        from labelbus_simulator import Dataset, Studio, serve
    except ImportError as error:
        raise BadInput("The demo needs the simulator: install labelbus with its extra 'demo'.") from error
    studio = Studio()
    project = studio.add_project("Shapes", key=_KEY)
    project.add(Dataset.images(images, seed=_SEED))
    with serve(studio) as endpoint:
        yield endpoint, project


@contextmanager
def _environment(folder: Path, endpoint: str) -> Iterator[None]:
    """Point this process at the simulated Studio, the toy model and the demo's own state."""
    wanted = {
        "EI_PROJECT_API_KEY": _KEY,
        "EI_API_ENDPOINT": endpoint,
        "LABELBUS_HOME": str(folder.absolute()),
        "LABELBUS_DETECTOR_MODEL": "toy",
    }
    hindering = ("LABELBUS_DATABASE_URL", "BEAM_ENDPOINT")
    before = {name: os.environ.get(name) for name in (*wanted, *hindering)}
    try:
        os.environ.update(wanted)
        for name in hindering:
            os.environ.pop(name, None)
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
