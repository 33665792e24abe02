"""Write one job as one HTML page that needs nothing else: counts, failures, pictures before and after."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import jinja2
from labelbus_contracts.jobs import Condition
from labelbus_contracts.labels import BoundingBox, LabelSet, painted
from labelbus_ledger.facts import Facts
from labelbus_ledger.remarks import Remark
from labelbus_ledger.reports import JobRow, SampleChange

from labelbus_cli.pictures import NoPicture, colour, readable_on, scaled
from labelbus_cli.progress import duration
from labelbus_cli.votes import Branches, VoteTable, branches_of, vote_tables

FetchImage = Callable[[int], Awaitable[bytes]]
"""From a sample's id to its encoded image. What it raises leaves the picture out, with the reason."""
_WIDEST_PX = 480
_AT_ONCE = 8
_REASON = "reason"
"""The metadata key of the official blocks that judge whole images."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The width of a picture's frame and the size of its letters, both in the unit of its boxes."""

    width: int
    font: float


@dataclass(frozen=True, slots=True)
class BoxView:
    """A box in the coordinates of its frame, ready to draw."""

    x: int
    y: int
    width: int
    height: int
    text: str
    ink: str
    letters: str
    is_new: bool
    tag_x: float
    tag_y: float
    tag_width: float


@dataclass(frozen=True, slots=True)
class RangeView:
    """A range in percent of the sample's length."""

    left: float
    width: float
    text: str
    ink: str


@dataclass(frozen=True, slots=True)
class Side:
    """A sample before, or after."""

    title: str
    class_label: str
    disabled: bool
    boxes: tuple[BoxView, ...]
    ranges: tuple[RangeView, ...]
    metadata: tuple[tuple[str, str, bool], ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One sample of the page. `jpeg` is base64, empty where there is no picture.

    `reason` is what a labeler gave for its verdict on the sample.
    """

    change: SampleChange
    jpeg: str
    problem: str
    width: int
    height: int
    font: float
    sides: tuple[Side, Side]
    votes: tuple[VoteTable, ...]
    remarks: tuple[Remark, ...]
    reason: str


async def render(facts: Facts, fetch: FetchImage) -> str:
    """Return the page."""
    cards = await _cards(facts, fetch)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("labelbus_cli"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["ink"] = _ink
    environment.filters["on_ink"] = readable_on
    environment.filters["when"] = _when
    environment.filters["condition"] = _condition
    environment.filters["percent"] = lambda part, whole: 100 * part / whole if whole else 0
    return environment.get_template("report.html").render(
        facts=facts,
        job=facts.job,
        cards=cards,
        widest_label=max((row.after for row in facts.labels), default=0),
        took=_took(facts.job),
        rendered_at=datetime.now(UTC),
    )


async def _cards(facts: Facts, fetch: FetchImage) -> list[Card]:
    """Fetch eight pictures at a time."""
    slots = asyncio.Semaphore(_AT_ONCE)
    branches = branches_of(facts.job.submit.action)

    async def card(change: SampleChange) -> Card:
        async with slots:
            return await _card(change, branches, facts.remarks.get(change.sample_id, ()), fetch)

    return await asyncio.gather(*(card(change) for change in facts.shown))


async def _card(change: SampleChange, branches: Branches, said: Sequence[Remark], fetch: FetchImage) -> Card:
    jpeg, problem = "", ""
    width, height = change.facts.width or 320, change.facts.height or 240
    if change.facts.kind == "image" or change.after.boxes or change.before.boxes:
        try:
            picture = scaled(await fetch(change.sample_id), change.facts, widest=_WIDEST_PX)
            width, height = picture.frame_width, picture.frame_height
            jpeg = base64.b64encode(picture.jpeg()).decode()
        except NoPicture as error:
            problem = str(error)
        except Exception as error:  # whatever keeps one picture away must not keep the page away
            problem = f"The picture could not be fetched: {error}"
    frame = Frame(width, max(width, height) / 26)
    sides = (
        _side("Before", change.before, change.after, change, frame),
        _side("After", change.after, change.before, change, frame),
    )
    return Card(
        change, jpeg, problem, width, height, frame.font, sides,
        votes=vote_tables(change.after, branches),
        remarks=tuple(one for one in said if one.notes),
        reason=_reason(change),
    )  # fmt: skip


def _reason(change: SampleChange) -> str:
    """Return the reason that a labeler wrote into the metadata, where it is a new one."""
    reason = change.after.metadata.get(_REASON, "")
    return "" if change.before.metadata.get(_REASON) == reason else reason


def _side(title: str, labels: LabelSet, other: LabelSet, change: SampleChange, frame: Frame) -> Side:
    there = {box.content for box in other.boxes}
    metadata = tuple((k, v, other.metadata.get(k) != v) for k, v in sorted(labels.metadata.items()))
    return Side(
        title=title,
        class_label=labels.label.label if labels.label else "",
        disabled=labels.disabled,
        boxes=tuple(_box(box, box.content not in there, frame) for box in labels.boxes),
        ranges=_ranges(labels, change.facts.values_count),
        metadata=metadata,
    )


def _box(box: BoundingBox, is_new: bool, frame: Frame) -> BoxView:
    font = frame.font
    text = box.label if box.score is None else f"{box.label} {box.score:.2f}"
    text = text if len(text) <= 40 else text[:39] + "…"
    tag_y = box.y - font * 1.25 if box.y >= font * 1.25 else float(box.y)
    tag_width = font * (0.58 * len(text) + 0.5)
    tag_x = max(0.0, min(float(box.x), frame.width - tag_width))
    return BoxView(
        box.x, box.y, box.width, box.height, text, _ink(box.label), readable_on(box.label), is_new,
        tag_x, tag_y, tag_width,
    )  # fmt: skip


def _ranges(labels: LabelSet, length: int | None) -> tuple[RangeView, ...]:
    rows = painted(labels.ranges)
    whole = length or max((end + 1 for _, end, _, _ in rows), default=1)
    return tuple(
        RangeView(100 * start / whole, 100 * (end + 1 - start) / whole, label, _ink(label))
        for start, end, label, _ in rows
    )


def _ink(label: str) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour(label))


def _when(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _condition(condition: Condition) -> str:
    """Return what a draft's label must have for a step to run."""
    least, most = condition.min_score, condition.max_score
    parts = [
        f"the text {' or '.join(condition.labels)}" if condition.labels else "",
        "" if least is None else f"a score of at least {least:g}",
        "" if most is None else f"a score of at most {most:g}",
    ]
    return " and ".join(part for part in parts if part) or "any text"


def _took(job: JobRow) -> str:
    if job.started_at is None or job.ended_at is None:
        return "–"
    return duration(job.ended_at - job.started_at)
