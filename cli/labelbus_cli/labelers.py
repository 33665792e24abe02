"""Find installed labelers by name."""

from collections.abc import Mapping

from labelbus_labeling.labeler import Registration
from labelbus_labeling.registry import installed

from labelbus_cli.actions import nearest
from labelbus_cli.custom_block import LABELER as CUSTOM_BLOCK
from labelbus_cli.errors import BadInput


def all_labelers() -> Mapping[str, Registration]:
    """Return every installed labeler by name."""
    return installed()


def labeler(name: str) -> Registration:
    """Return one labeler. Raises `BadInput` with the nearest name."""
    known = all_labelers()
    if name not in known:
        raise BadInput(f"There is no labeler '{name}'. {nearest(name, known)}")
    return known[name]


def block(name: str) -> Registration:
    """Return a labeler that can be a block of Edge Impulse. Raises `BadInput`."""
    if name == CUSTOM_BLOCK:
        raise BadInput(
            f"{CUSTOM_BLOCK} runs another block and is none itself: push that one. To run it here, use "
            "`labelbus run-block --command ...`, or a step of an action."
        )
    return labeler(name)
