"""Actions of ours as Studio's and back: blocks, texts, data filters, and what Studio cannot hold."""

import pytest
from labelbus_cli.errors import BadInput
from labelbus_cli.studio_blocks import blocks_by_name, blocks_in_actions, given_blocks
from labelbus_cli.studio_mapping import from_studio, to_studio
from labelbus_contracts.jobs import ActionSpec
from labelbus_labeling.labeler import Registration
from labelbus_studio.action_calls import StudioAction, StudioStep, TransformationBlock

Labelers = dict[str, Registration]
BLOCKS = {"finder": 7, "owl-vit": 9}
PARAMETERS = {"prompt": "a cat\na dog", "strictness": 0.25, "limit": 3, "deep": True}


def action(**changes: object) -> ActionSpec:
    """Return an action that Studio can hold."""
    steps = [
        {"labeler": "finder", "parameters": PARAMETERS},
        {"labeler": "owl-vit", "parameters": {"prompt": "a cat (cat, 0.2)", "nms": True}},
    ]
    given: dict[str, object] = {"name": "both", "steps": steps, "metadata_after": {"by": "us"}}
    return ActionSpec.model_validate(given | changes)


def test_parameters_are_texts_there_and_typed_here(labelers: Labelers) -> None:
    """What was pushed is pulled as it was."""
    studio = to_studio(action(), BLOCKS, labelers, action_id=3)
    assert studio.steps[0] == StudioStep(
        7, {"prompt": "a cat\na dog", "strictness": "0.25", "limit": "3", "deep": "true"}
    )
    assert from_studio(studio, BLOCKS, labelers).action == action()


@pytest.mark.parametrize(
    ("data", "category"),
    [
        ({"which": "all"}, "allData"),
        ({"which": "unlabeled"}, "unlabeledData"),
        ({"which": "enabled"}, "enabledData"),
        ({"with_metadata": {"key": "a", "value": "b"}}, "dataWithMetadata"),
        ({"without_metadata": {"key": "a"}}, "dataWithoutMetadataKey"),
    ],
)
def test_each_data_filter_of_studio_comes_back(
    labelers: Labelers, data: dict[str, object], category: str
) -> None:
    """Five filters, both ways."""
    studio = to_studio(action(data=data), BLOCKS, labelers, action_id=3)
    assert studio.data_category == category
    assert from_studio(studio, BLOCKS, labelers).action.data == action(data=data).data


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": {"labels": ["cat"]}}, "neither by category, label"),
        ({"data": {"kinds": ["image"]}}, "name nor kind"),
        ({"data": {"labeled": True}}, "what is labeled"),
        ({"data": {"category": "training"}}, "neither by category"),
        ({"data": {"which": "enabled", "without_metadata": {"key": "a"}}}, "one data filter"),
        ({"data": {"with_metadata": {"key": "a"}}}, "needs a value"),
        ({"data": {"without_metadata": {"key": "a", "value": "b"}}}, "takes a key only"),
        (
            {"steps": [{"labeler": "finder", "parameters": PARAMETERS, "when": {"labels": ["cat"]}}]},
            "Step 0 (finder) has a condition",
        ),
        (
            {"steps": [{"labeler": "merge", "branches": [{"labeler": "finder"}, {"labeler": "owl-vit"}]}]},
            "Step 0 (merge) has branches",
        ),
    ],
)
def test_what_studio_cannot_hold_is_refused(
    labelers: Labelers, changes: dict[str, object], said: str
) -> None:
    """Nothing is dropped in silence."""
    with pytest.raises(BadInput) as raised:
        to_studio(action(**changes), BLOCKS, labelers, action_id=3)
    assert said in str(raised.value)


def test_a_step_without_a_block_is_refused_by_name(labelers: Labelers) -> None:
    """The remedy names the option, in both directions."""
    with pytest.raises(BadInput, match=r"Step 1 \(owl-vit\) has no block.*--block owl-vit=ID"):
        to_studio(action(), {"finder": 7}, labelers, action_id=3)
    studio = StudioAction(1, "x", (StudioStep(8, {}),))
    with pytest.raises(BadInput, match=r"Step 0 .* runs block 8.*--block LABELER=8"):
        from_studio(studio, BLOCKS, labelers)


def test_parameters_that_are_not_ours_are_named(labelers: Labelers) -> None:
    """An empty text is no value; an unknown parameter is left out and told."""
    step = StudioStep(7, {"prompt": "a", "limit": "", "newer": "1"})
    pulled = from_studio(StudioAction(1, "x", (step,)), BLOCKS, labelers)
    assert pulled.action.steps[0].parameters == {"prompt": "a"}
    assert "'newer'" in pulled.notes[0]
    with pytest.raises(BadInput, match=r"Step 0 \(finder\) in Studio is wrong: strictness"):
        wrong = StudioStep(7, {"prompt": "a", "strictness": "7"})
        from_studio(StudioAction(1, "x", (wrong,)), BLOCKS, labelers)


def test_blocks_are_found_by_name_by_use_and_by_the_user(labelers: Labelers) -> None:
    """A block is called like the labeler or its title, or its parameters are one labeler's only."""
    called = [TransformationBlock(5, "The finder"), TransformationBlock(6, "Else")]
    assert blocks_by_name(called, labelers) == {"finder": 5}
    used = [
        StudioAction(1, "x", (StudioStep(4, {"prompt": "a", "deep": "1"}), StudioStep(3, {"prompt": "a"})))
    ]
    assert blocks_in_actions(used, labelers) == {"finder": 4}
    assert given_blocks(["owl-vit=12"], labelers) == {"owl-vit": 12}


def test_wrong_blocks_are_refused(labelers: Labelers) -> None:
    """No such labeler, no number, or two blocks of one name."""
    for text in ("owl=1", "owl-vit", "owl-vit=x"):
        with pytest.raises(BadInput, match="--block"):
            given_blocks([text], labelers)
    twice = [TransformationBlock(5, "finder"), TransformationBlock(6, "Finder")]
    with pytest.raises(BadInput, match="Several blocks are finder: 5, 6"):
        blocks_by_name(twice, labelers)
