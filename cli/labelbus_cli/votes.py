"""Tell how the branches of merged steps voted: per label, what each branch said and how sure it was."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from labelbus_contracts.jobs import MERGE, ActionSpec
from labelbus_contracts.labels import BoundingBox, ClassLabel, LabelSet, TimeRange, Vote

Branches: TypeAlias = Mapping[str, tuple[str, ...]]
"""The names of a merged step's branches (`owl-vit#0`) by the name of the step (`merge#0`)."""
_Voted: TypeAlias = ClassLabel | BoundingBox | TimeRange
SILENT = "–"


@dataclass(frozen=True, slots=True)
class Opinion:
    """One merged label. `said` has one text per branch: its score, another label, or `–` for nothing."""

    label: str
    place: str
    score: float | None
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VoteTable:
    """The merged labels of one step, with its branches as columns."""

    branches: tuple[str, ...]
    rows: tuple[Opinion, ...]


def branches_of(action: ActionSpec) -> Branches:
    """Return the branches of every merged step of an action."""
    named: dict[str, tuple[str, ...]] = {}
    for place in action.places:
        if place.spec.branches:
            names = tuple(f"{one.labeler}#{place.begins + nr}" for nr, one in enumerate(place.spec.branches))
            named[f"{MERGE}#{place.begins}"] = names
    return named


def vote_tables(labels: LabelSet, branches: Branches) -> tuple[VoteTable, ...]:
    """Return one table per merged step that made some of the labels."""
    rows: dict[tuple[str, ...], list[Opinion]] = {}
    for place, one in _voted(labels):
        voters = tuple(vote.source for vote in one.votes)
        names = branches.get(one.source or "", voters)
        rows.setdefault(names, []).append(Opinion(one.label, place, one.score, _said(one, names)))
    return tuple(VoteTable(names, tuple(opinions)) for names, opinions in rows.items())


def _voted(labels: LabelSet) -> Iterator[tuple[str, _Voted]]:
    if labels.label is not None and labels.label.votes:
        yield "the sample", labels.label
    for box in labels.boxes:
        if box.votes:
            yield f"{box.x}, {box.y}, {box.width} * {box.height}", box
    for span in labels.ranges:
        if span.votes:
            yield f"{span.start_index} to {span.end_index}", span


def _said(one: _Voted, branches: Sequence[str]) -> tuple[str, ...]:
    votes = {vote.source: vote for vote in one.votes}
    return tuple(_text(votes.get(branch), one.label) for branch in branches)


def _text(vote: Vote | None, label: str) -> str:
    if vote is None:
        return SILENT
    score = "yes" if vote.score is None else f"{vote.score:.2f}"
    if vote.label == label:
        return score
    return vote.label if vote.score is None else f"{vote.label} {score}"
