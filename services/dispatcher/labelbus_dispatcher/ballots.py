"""Votes on class labels, and on ranges piece by piece. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from labelbus_contracts.labels import ClassLabel, TimeRange, Vote, tops


@dataclass(frozen=True, slots=True)
class Ballot:
    """What one branch says; `label_map` is Studio's key-value labels of a range."""

    branch: int
    label: str
    score: float | None = None
    label_map: tuple[tuple[str, str], ...] = ()

    @property
    def said(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        """Return what counts as the same vote."""
        return (self.label, self.label_map)


def winners(ballots: Iterable[Ballot], votes: int) -> list[Ballot]:
    """Return the ballots of the label with most votes; none where fewer than `votes` agree.

    A tie goes to the higher sum of scores (a missing one counts as 1), then to the earliest branch.
    """
    groups: dict[object, list[Ballot]] = {}
    for ballot in sorted(ballots, key=lambda ballot: ballot.branch):
        groups.setdefault(ballot.said, []).append(ballot)
    best = max(groups.values(), key=_strength, default=[])
    return best if len(best) >= votes else []


def merged_label(
    given: ClassLabel | None,
    drafts: Sequence[ClassLabel | None],
    sources: Sequence[str],
    *,
    votes: int,
    source: str,
) -> ClassLabel | None:
    """Return the label that most branches give, with every branch's vote; the given one without enough.

    A branch that gives none abstains.
    """
    if all(_text(draft) == _text(given) for draft in drafts):
        return given
    if not any(map(_text, drafts)):
        return drafts[0]
    ballots = [
        Ballot(nr, draft.label, draft.score)
        for nr, draft in enumerate(drafts)
        if draft is not None and draft.label
    ]
    best = winners(ballots, votes)
    if not best:
        return given
    cast = tuple(Vote(source=sources[one.branch], label=one.label, score=one.score) for one in ballots)
    return ClassLabel(label=best[0].label, score=mean_score(best), source=source, votes=cast)


def merged_ranges(
    given: tuple[TimeRange, ...],
    drafts: Sequence[tuple[TimeRange, ...]],
    sources: Sequence[str],
    *,
    votes: int,
    source: str,
) -> tuple[TimeRange, ...]:
    """Return ranges of the label that most branches give at each place; the given one without enough.

    Where `votes` branches say nothing, and fewer agree on a label, nothing is said. In one draft later
    ranges win, as Studio paints them. Neighbours of equal label and votes become one.
    """
    if all(draft == given for draft in drafts):
        return given
    cuts = sorted({edge for one in (*drafts, given) for span in one for edge in _ends(span)})
    paintings = [_painted(one, cuts) for one in drafts]
    before = _painted(given, cuts)
    pieces: list[TimeRange] = []
    for nr, (start, stop) in enumerate(pairwise(cuts)):
        ballots = list(_ballots([painting[nr] for painting in paintings]))
        best = winners(ballots, votes)
        is_silent = len(drafts) - len(ballots) >= votes
        made = _won(ballots, best, sources, source) if best else None if is_silent else before[nr]
        if made is not None:
            _append(pieces, made.model_copy(update={"start_index": start, "end_index": stop - 1}))
    return tuple(pieces)


def mean_score(ballots: Sequence[Ballot]) -> float | None:
    """Return the mean of the scores there are."""
    scores = [ballot.score for ballot in ballots if ballot.score is not None]
    return min(1.0, sum(scores) / len(scores)) if scores else None


def _strength(ballots: Sequence[Ballot]) -> tuple[int, float, int]:
    scores = sum(1.0 if ballot.score is None else ballot.score for ballot in ballots)
    return (len(ballots), scores, -ballots[0].branch)


def _ballots(tops: Sequence[TimeRange | None]) -> Iterator[Ballot]:
    for branch, top in enumerate(tops):
        if top is not None:
            yield Ballot(branch, top.label, top.score, tuple(sorted((top.label_map or {}).items())))


def _won(ballots: Sequence[Ballot], best: Sequence[Ballot], sources: Sequence[str], source: str) -> TimeRange:
    """Return a range, its place still open, for the winning ballots."""
    return TimeRange(
        start_index=0,
        end_index=0,
        label=best[0].label,
        label_map=dict(best[0].label_map) or None,
        score=mean_score(best),
        source=source,
        votes=tuple(Vote(source=sources[one.branch], label=one.label, score=one.score) for one in ballots),
    )


def _painted(ranges: Sequence[TimeRange], cuts: Sequence[int]) -> list[TimeRange | None]:
    """Return the range that Studio shows between each cut and the next."""
    spans = [(one.start_index, one.end_index) for one in ranges]
    return [None if nr is None else ranges[nr] for nr in tops(spans, cuts)]


def _ends(span: TimeRange) -> tuple[int, int]:
    return (span.start_index, span.end_index + 1)


def _append(pieces: list[TimeRange], piece: TimeRange) -> None:
    if pieces:
        last = pieces[-1]
        place = {"start_index": piece.start_index, "end_index": piece.end_index}
        if last.end_index == piece.start_index - 1 and last.model_copy(update=place) == piece:
            pieces[-1] = last.model_copy(update={"end_index": piece.end_index})
            return
    pieces.append(piece)


def _text(label: ClassLabel | None) -> str:
    return label.label if label else ""
