"""Labels are compared by what Studio would hold, and survive the wire."""

import random
import time
from collections.abc import Sequence
from datetime import UTC
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelbus_contracts.jobs import ActionSpec, Condition, StepSpec
from labelbus_contracts.labels import (
    Base,
    BoundingBox,
    ClassLabel,
    LabelSet,
    SampleFacts,
    TimeRange,
    changed_parts,
    painted,
    same_content,
)
from labelbus_contracts.schema import MESSAGES
from labelbus_contracts.v1.events import Usage
from labelbus_contracts.v1.message import Message
from pydantic import ValidationError

maps = st.none() | st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy"), min_size=1)
scores = st.none() | st.floats(0, 1)
boxes = st.builds(
    BoundingBox,
    label=st.sampled_from(["cat", "dog"]),
    x=st.integers(-5, 5),
    y=st.integers(-5, 5),
    width=st.integers(0, 5),
    height=st.integers(0, 5),
    score=scores,
    source=st.none() | st.just("owl-vit#0"),
)
ranges = st.builds(
    TimeRange,
    start_index=st.integers(0, 12),
    end_index=st.integers(0, 12),
    label=st.sampled_from(["a", "b"]),
    label_map=maps,
    score=scores,
    source=st.none() | st.just("audio#0"),
)
texts = st.text(max_size=5)
label_sets = st.builds(
    LabelSet,
    label=st.none() | st.builds(ClassLabel, label=texts, score=scores),
    boxes=st.lists(boxes, max_size=4).map(tuple),
    ranges=st.lists(ranges, max_size=5).map(tuple),
    label_map=maps,
    disabled=st.booleans(),
    metadata=st.dictionaries(texts, texts, max_size=3),
)
Meaning = tuple[str, tuple[tuple[str, str], ...]]


def painted_by_hand(given: Sequence[TimeRange]) -> dict[int, Meaning]:
    """Paint index by index, as Studio does."""
    canvas: dict[int, Meaning] = {}
    for one in given:
        for index in range(one.start_index, one.end_index + 1):
            canvas[index] = one.content[2:]
    return canvas


@given(st.lists(ranges, max_size=8).map(tuple))
def test_painted(given: tuple[TimeRange, ...]) -> None:
    """Painted ranges say of every index what Studio would, in order, merged, without overlaps."""
    pieces = painted(given)
    said = {index: (label, tags) for start, end, label, tags in pieces for index in range(start, end + 1)}
    assert said == painted_by_hand(given)
    assert sum(end - start + 1 for start, end, *_ in pieces) == len(said)
    for (_, end, *one), (start, _, *next_one) in pairwise(pieces):
        assert end < start and not (end + 1 == start and one == next_one)


def test_painted_is_quick() -> None:
    """Twenty thousand overlapping ranges are painted in well under two seconds."""
    many = tuple(TimeRange(start_index=i, end_index=40_000 - i, label=str(i)) for i in range(20_000))
    started = time.process_time()
    assert len(painted(many)) == 39_999
    assert time.process_time() - started < 2


@given(label_sets, label_sets)
def test_changed_parts(one: LabelSet, other: LabelSet) -> None:
    """Comparison does not depend on the side, and nothing differs from itself."""
    assert changed_parts(one, other) == changed_parts(other, one)
    assert changed_parts(one, one) == frozenset() == changed_parts(one, one.model_copy(deep=True))
    assert same_content(one, other) == (not changed_parts(one, other))


@given(label_sets, st.randoms())
def test_content_only(labels: LabelSet, chance: random.Random) -> None:
    """The order of boxes, scores and sources do not count; a box that is there twice does."""
    shuffled = [box.model_copy(update={"score": None, "source": "x"}) for box in labels.boxes]
    chance.shuffle(shuffled)
    bare = tuple(one.model_copy(update={"score": 0.5, "source": None}) for one in labels.ranges)
    assert same_content(labels, labels.model_copy(update={"boxes": tuple(shuffled), "ranges": bare}))
    for box in labels.boxes[:1]:
        assert changed_parts(labels, labels.model_copy(update={"boxes": (*labels.boxes, box)})) == {"boxes"}


@given(label_sets)
def test_labels_on_the_wire(labels: LabelSet) -> None:
    """A label set is the same on the other side, label maps with it."""
    assert LabelSet.model_validate_json(labels.model_dump_json()) == labels


numbers = st.floats(0, 1e9)
bases = st.builds(
    Base,
    sample=st.builds(SampleFacts, filename=texts, width=st.none() | st.integers(1, 9), frequency_hz=numbers),
    labels=label_sets,
    read_at=st.datetimes(timezones=st.just(UTC)),
)
names = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True)
parameters = st.dictionaries(texts, st.none() | st.booleans() | texts | st.lists(st.integers()), max_size=3)
conditions = st.none() | st.builds(Condition, labels=st.lists(texts).map(tuple), min_score=scores)
steps = st.builds(StepSpec, labeler=names, parameters=parameters, when=conditions)
FIELDS: Final[dict[str, st.SearchStrategy[object]]] = {
    "base": bases,
    "draft": label_sets,
    "labeler": names,
    "parameters": parameters,
    "retry_after_s": numbers,
    "usage": st.builds(Usage, seconds=numbers, cost_usd=numbers, input_tokens=st.integers(0, 9)),
    "action": st.builds(ActionSpec, name=st.just("a"), steps=st.lists(steps, min_size=1, max_size=3)),
}


@given(st.sampled_from(MESSAGES), st.data())
def test_messages_on_the_wire(model: type[Message], data: st.DataObject) -> None:
    """Every command and event is the same on the other side."""
    fields = {name: strategy for name, strategy in FIELDS.items() if name in model.model_fields}
    message = data.draw(st.builds(model, **fields))
    assert model.model_validate_json(message.model_dump_json()) == message


def test_frozen() -> None:
    """A value never changes."""
    with pytest.raises(ValidationError):
        setattr(LabelSet(), "disabled", True)  # noqa: B010 - what is tested
