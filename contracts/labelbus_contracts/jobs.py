"""Actions and selections: what a job does, and to which samples."""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, StringConstraints

from labelbus_contracts.labels import SampleKind, Score
from labelbus_contracts.model import Frozen

JobMode = Literal["preview", "apply"]
OnConflict = Literal["hold", "overwrite"]
LabelerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
BudgetUsd = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
CheckAfterS = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
MAX_IDS_PER_MESSAGE = 10_000
MERGE: Final = "merge"
"""The labeler of a step with branches: the dispatcher merges their drafts itself."""


class Condition(Frozen):
    """Run a step only for drafts that say so: some box, range or class label matches all that is given."""

    labels: tuple[str, ...] = ()
    min_score: Score | None = None
    max_score: Score | None = None


class Branch(Frozen):
    """One labeler with its parameters."""

    labeler: LabelerName
    parameters: dict[str, JsonValue] = Field(default_factory=dict)


class StepSpec(Branch):
    """One labeler, or `merge` with branches: each gets the same draft, and their drafts become one."""

    when: Condition | None = None
    branches: tuple[Branch, ...] = Field(default=(), exclude_if=lambda branches: not branches)


@dataclass(frozen=True, slots=True)
class Place:
    """One thing that a sample is sent to a labeler for: a step, or a branch of one.

    `step` is the number of the step in its action; `begins` and `ends` are the places of its first branch
    and behind its last.
    """

    step: int
    begins: int
    ends: int
    spec: StepSpec
    work: Branch


class MetadataMatch(Frozen):
    """A metadata key, and its value where only that counts."""

    key: Annotated[str, Field(min_length=1)]
    value: str | None = None


class DataFilter(Frozen):
    """Which samples of a project an action works on; all that is given must hold.

    `kinds` are those of the samples; none given are all. `labeled` takes samples with labels only.
    """

    which: Literal["all", "unlabeled", "enabled"] = "all"
    category: Literal["all", "training", "testing", "validation", "post-processing"] = "all"
    with_metadata: MetadataMatch | None = None
    without_metadata: MetadataMatch | None = None
    labels: tuple[str, ...] = ()
    name_contains: str | None = None
    kinds: tuple[SampleKind, ...] = Field(default=(), exclude_if=lambda kinds: not kinds)
    labeled: bool = Field(default=False, exclude_if=lambda labeled: not labeled)


class ActionSpec(Frozen):
    """A named recipe: ordered steps, which data, and metadata to set on it afterwards.

    `revision` is given where the action is kept in the ledger under its name. `budget_usd` is what a job of
    it may spend on paid models, unless the job says otherwise.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    revision: int | None = Field(default=None, exclude_if=lambda revision: revision is None)
    steps: Annotated[tuple[StepSpec, ...], Field(min_length=1)]
    data: DataFilter = DataFilter()
    metadata_after: dict[str, str] = Field(default_factory=dict)
    budget_usd: BudgetUsd | None = Field(default=None, exclude_if=lambda budget: budget is None)

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Return what labelers are sent, in order: every step, or its branches.

        `LabelSample.step` counts these.
        """
        places: list[Place] = []
        for number, spec in enumerate(self.steps):
            works: tuple[Branch, ...] = spec.branches or (spec,)
            begins = len(places)
            places += (Place(number, begins, begins + len(works), spec, work) for work in works)
        return tuple(places)

    @property
    def shown_name(self) -> str:
        """Return the name, with its revision where it has one: `shapes@3`."""
        return self.name if self.revision is None else f"{self.name}@{self.revision}"


class Selection(Frozen):
    """The samples of one job: given ids, or the action's data filter; `sample` takes a random part of it.

    `more_follow` says that `AddSamples` brings further ids. `limit` takes the newest that the filter finds,
    at most so many.
    """

    ids: Annotated[tuple[int, ...], Field(max_length=MAX_IDS_PER_MESSAGE)] | None = None
    more_follow: bool = False
    sample: Annotated[int, Field(gt=0)] | None = None
    seed: int = 0
    limit: Annotated[int, Field(gt=0)] | None = Field(default=None, exclude_if=lambda limit: limit is None)


class FailureLimit(Frozen):
    """Pause a job once `count` samples failed and they are at least `share` of those that ended."""

    count: Annotated[int, Field(gt=0)] = 100
    share: Score = 0.5
