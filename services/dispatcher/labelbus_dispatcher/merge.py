"""Merge the drafts of a step's branches into one: the labeler `merge`, pure, of the dispatcher itself."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from labelbus_contracts.jobs import MERGE, Condition, Place, StepSpec
from labelbus_contracts.labels import LabelSet
from labelbus_labeling.labeler import Labeler, LabelerParameters, Registration
from pydantic import Field

from labelbus_dispatcher.ballots import merged_label, merged_ranges
from labelbus_dispatcher.fusion import Method, merged_boxes

Weight = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]


class MergeParameters(LabelerParameters):
    """How the drafts of branches become one."""

    method: Method = Field(
        default="fusion",
        description="fusion averages boxes that overlap, weighted by score; vote takes the best of them.",
    )
    votes: int | None = Field(
        default=None,
        ge=1,
        description="How many branches must agree on a label. Without it: one for fusion, more than half for "
        "vote.",
    )
    iou: float = Field(
        default=0.55,
        gt=0,
        le=1,
        description="Boxes of one label that overlap at least so much are one object.",
    )
    weights: tuple[Weight, ...] = Field(
        default=(),
        description="How much each branch counts when boxes are averaged, in the order of the branches: "
        "[2, 1]. All alike without it. For fusion only.",
    )

    def needed(self, branches: int) -> int:
        """Return how many of so many branches must agree."""
        if self.votes is not None:
            return self.votes
        return 1 if self.method == "fusion" else majority(branches)


def _nobody(environ: Mapping[str, str]) -> Labeler:
    raise NotImplementedError("the dispatcher merges by itself")


MERGE_REGISTRATION: Final = Registration(
    name=MERGE,
    title="Merge of branches, by the dispatcher",
    operates_on=frozenset({"other"}),
    parameters=MergeParameters,
    make=_nobody,
)
"""What is known of `merge`; it has no process of its own."""


def merge_fault(step: StepSpec) -> str | None:
    """Return what is wrong with a step's branches; None for none, or for a step without them."""
    if not step.branches:
        if step.labeler == MERGE:
            return "merge needs branches: at least two labelers whose drafts become one. Add them."
        return None
    if step.labeler != MERGE:
        return f"a step with branches has the labeler merge, not {step.labeler}. Change it, or drop them."
    if len(step.branches) < 2:
        return "one branch is nothing to merge. Add another, or make it a step."
    if any(branch.labeler == MERGE for branch in step.branches):
        return "a branch cannot be a merge. Name its labelers as branches of this step."
    votes = step.parameters.get("votes")
    if isinstance(votes, int) and votes > len(step.branches):
        return f"{votes} votes are more than its {len(step.branches)} branches. Ask for fewer."
    return _weights_fault(step)


def _weights_fault(step: StepSpec) -> str | None:
    weights = step.parameters.get("weights")
    if not weights or not isinstance(weights, list | tuple):
        return None
    if step.parameters.get("method") == "vote":
        return "weights are for the method fusion: in a vote every branch counts once. Drop them."
    if len(weights) != len(step.branches):
        return (
            f"it has {len(step.branches)} branches and {len(weights)} weights. Give one for each, in order."
        )
    return None


def condition_fault(condition: Condition | None) -> str | None:
    """Return what is wrong with a step's condition; None for none."""
    if condition is None or condition.min_score is None or condition.max_score is None:
        return None
    if condition.min_score <= condition.max_score:
        return None
    least, most = condition.min_score, condition.max_score
    return f"no score is at least {least:g} and at most {most:g}. Exchange min_score and max_score."


def majority(branches: int) -> int:
    """Return the least number that is more than half."""
    return branches // 2 + 1


def merged(given: LabelSet, drafts: Sequence[LabelSet], place: Place) -> LabelSet:
    """Return the draft that a step with branches makes of theirs, in their order; each got `given`.

    Boxes, ranges and class label follow the step's parameters. A sample is disabled where more than half of
    the branches say so (or `votes` of them). Of metadata and label map, what the first branch to change
    something made of it counts.
    """
    parameters = MergeParameters.model_validate(place.spec.parameters)
    count = len(place.spec.branches)
    needed = parameters.needed(count)
    source = f"{MERGE}#{place.begins}"
    sources = [f"{one.labeler}#{place.begins + nr}" for nr, one in enumerate(place.spec.branches)]
    return LabelSet(
        label=merged_label(given.label, [one.label for one in drafts], sources, votes=needed, source=source),
        boxes=merged_boxes(
            [one.boxes for one in drafts], sources, method=parameters.method, iou=parameters.iou,
            votes=needed, source=source, weights=parameters.weights,
        ),
        ranges=merged_ranges(
            given.ranges, [one.ranges for one in drafts], sources, votes=needed, source=source
        ),
        label_map=_changed_first(given.label_map, [one.label_map for one in drafts]),
        disabled=sum(one.disabled for one in drafts) >= (parameters.votes or majority(count)),
        metadata=_metadata(given.metadata, [one.metadata for one in drafts]),
    )  # fmt: skip


def _changed_first(
    given: dict[str, str] | None, drafts: Sequence[dict[str, str] | None]
) -> dict[str, str] | None:
    return next((one for one in drafts if one != given), given)


def _metadata(given: dict[str, str], drafts: Sequence[dict[str, str]]) -> dict[str, str]:
    made = dict(given)
    for draft in reversed(drafts):
        made |= {key: value for key, value in draft.items() if given.get(key) != value}
    gone = {key for key in given if any(key not in draft for draft in drafts)}
    return {key: value for key, value in made.items() if key not in gone}
