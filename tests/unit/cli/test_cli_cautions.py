"""What is said of an action before it runs."""

from labelbus_cli.cautions import cautions
from labelbus_contracts.jobs import ActionSpec


def test_each_step_with_a_model_that_ends_is_named() -> None:
    """Branches too, each sentence once; a step that leaves the model to its labeler is not."""
    old = {"labeler": "images", "parameters": {"model": "o4-mini"}}
    steps = [
        {"labeler": "images", "parameters": {"prompt": "What is it?"}},
        {"labeler": "images", "parameters": {"model": "gpt-6-luna"}},
        {"labeler": "merge", "branches": [old, old, {"labeler": "owl-vit", "parameters": {"model": 7}}]},
    ]
    (said,) = cautions(ActionSpec.model_validate({"name": "a", "steps": steps}))
    assert said.startswith("Step 2 (images): The model o4-mini was switched off on 2026-10-23.")
