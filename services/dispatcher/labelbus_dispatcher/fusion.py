"""Merge the boxes of several branches: clusters of equal label, by weighted box fusion or by vote. Pure.

Fusion is Solovyev, Wang, Gabruseva, "Weighted boxes fusion" (2021), with one difference: a branch has at most
one box in a cluster, so that equal drafts merge into themselves.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from labelbus_contracts.labels import BoundingBox, Vote
from labelbus_labeling.geometry import Corners, corners_of, overlap

Method = Literal["fusion", "vote"]
_UNSCORED: Final = 1.0  # a label without a score is a person's: certain


@dataclass(frozen=True, slots=True)
class _Voice:
    """One box of one branch; `place` is its place in the branch's list, `trust` the branch's weight."""

    box: BoundingBox
    branch: int
    place: int
    trust: float

    @property
    def weight(self) -> float:
        return self.trust * (_UNSCORED if self.box.score is None else self.box.score)


@dataclass(slots=True)
class _Cluster:
    voices: list[_Voice] = field(default_factory=list)
    edges: Corners = (0.0, 0.0, 0.0, 0.0)

    @property
    def begins(self) -> tuple[int, int]:
        return min((voice.branch, voice.place) for voice in self.voices)

    def add(self, voices: Sequence[_Voice]) -> None:
        self.voices.extend(voices)
        self.edges = _mean_corners(self.voices)


def merged_boxes(
    drafts: Sequence[Sequence[BoundingBox]],
    sources: Sequence[str],
    *,
    method: Method,
    iou: float,
    votes: int,
    source: str,
    weights: Sequence[float] = (),
) -> tuple[BoundingBox, ...]:
    """Return the boxes that at least `votes` branches found, in the order in which they first appear.

    `fusion` averages the edges of a cluster weighted by score, rounds them to whole pixels, and scores the
    box by its mean score times the share of the branches that found it; `vote` takes the box of the highest
    score as it is. A box that every branch left as it was stays the same. `sources` name the branches,
    `weights` say how much each counts; without them all count alike. Only their proportions matter.
    """
    trusts = tuple(weights) or (1.0,) * len(sources)
    clusters = _clusters(drafts, trusts, iou)
    kept = sorted((one for one in clusters if len(one.voices) >= votes), key=lambda one: one.begins)
    return tuple(_merged(one, sources, method, source, sum(trusts)) for one in kept)


def _clusters(drafts: Sequence[Sequence[BoundingBox]], trusts: Sequence[float], iou: float) -> list[_Cluster]:
    """Join units, best score first, so that the order of branches decides nothing."""
    units = sorted(_units(drafts, trusts), key=lambda unit: (-unit[0].weight, unit[0].box.content))
    by_label: dict[str, list[_Cluster]] = {}
    for unit in units:
        clusters = by_label.setdefault(unit[0].box.label, [])
        near = _nearest(unit, clusters, iou)
        if near is None:
            near = _Cluster()
            clusters.append(near)
        near.add(unit)
    return [cluster for clusters in by_label.values() for cluster in clusters]


def _units(drafts: Sequence[Sequence[BoundingBox]], trusts: Sequence[float]) -> list[list[_Voice]]:
    """Return boxes of equal content of different branches together; a branch's second is of another unit."""
    units: dict[tuple[object, int], list[_Voice]] = {}
    for branch, (boxes, trust) in enumerate(zip(drafts, trusts, strict=True)):
        copies: Counter[object] = Counter()
        voices = [_Voice(box, branch, place, trust) for place, box in enumerate(boxes)]
        for voice in sorted(voices, key=lambda voice: -voice.weight):
            content = voice.box.content
            units.setdefault((content, copies[content]), []).append(voice)
            copies[content] += 1
    return [sorted(unit, key=lambda voice: -voice.weight) for unit in units.values()]


def _nearest(unit: Sequence[_Voice], clusters: Sequence[_Cluster], iou: float) -> _Cluster | None:
    """Return the cluster that overlaps most, at least by `iou`, and has no box of the unit's branches yet."""
    best, most = None, iou
    branches = {voice.branch for voice in unit}
    for cluster in clusters:
        if not branches.isdisjoint(voice.branch for voice in cluster.voices):
            continue
        found = overlap(corners_of(unit[0].box), cluster.edges)
        if found > most or (best is None and found >= most):
            best, most = cluster, found
    return best


def _merged(
    cluster: _Cluster, sources: Sequence[str], method: Method, source: str, trust: float
) -> BoundingBox:
    first = cluster.voices[0].box
    if len(cluster.voices) == len(sources) and all(_same(first, voice.box) for voice in cluster.voices):
        return first
    ballots = sorted(cluster.voices, key=lambda voice: voice.branch)
    votes = tuple(
        Vote(source=sources[one.branch], label=one.box.label, score=one.box.score) for one in ballots
    )
    if method == "vote":
        return first.model_copy(update={"source": source, "votes": votes})
    left, top, right, bottom = (round(edge) for edge in cluster.edges)
    return BoundingBox(
        label=first.label, x=left, y=top, width=right - left, height=bottom - top,
        score=_fused_score(cluster.voices, trust), source=source, votes=votes,
    )  # fmt: skip


def _same(one: BoundingBox, other: BoundingBox) -> bool:
    return (one.content, one.score, one.source) == (other.content, other.score, other.source)


def _fused_score(voices: Sequence[_Voice], trust: float) -> float | None:
    """Return the weighted mean of the scores, where `trust`, the sum of all branches' weights, counts."""
    if all(voice.box.score is None for voice in voices):
        return None
    return min(1.0, sum(voice.weight for voice in voices) / trust)


def _mean_corners(voices: Sequence[_Voice]) -> Corners:
    """Return the average of the edges weighted by score; plain where all scores are 0."""
    weights = [voice.weight for voice in voices]
    if not sum(weights):
        weights = [1.0] * len(voices)
    first, *others = (corners_of(voice.box) for voice in voices)
    share = [weight / sum(weights) for weight in weights[1:]]
    left, top, right, bottom = (  # as a way from the first box: exact where all edges are equal
        first[side] + sum(part * (one[side] - first[side]) for part, one in zip(share, others, strict=True))
        for side in range(4)
    )
    return (left, top, right, bottom)
