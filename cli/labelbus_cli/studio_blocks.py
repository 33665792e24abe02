"""Which block of Studio is which labeler: named by the user, by the organisation, or by existing actions."""

from collections.abc import Iterable, Mapping, Sequence

from labelbus_labeling.labeler import Registration
from labelbus_studio.action_calls import StudioAction, TransformationBlock

from labelbus_cli.actions import nearest
from labelbus_cli.block_arguments import options
from labelbus_cli.errors import BadInput


def given_blocks(texts: Iterable[str], labelers: Mapping[str, Registration]) -> dict[str, int]:
    """Read `owl-vit=123`. Raises `BadInput`."""
    blocks: dict[str, int] = {}
    for text in texts:
        name, _, number = text.partition("=")
        if name not in labelers:
            raise BadInput(f"--block {text}: there is no labeler '{name}'. {nearest(name, labelers)}")
        if not number.isdecimal():
            raise BadInput(f"--block {text}: give the block's number, like {name}=123.")
        blocks[name] = int(number)
    return blocks


def blocks_by_name(
    blocks: Sequence[TransformationBlock], labelers: Mapping[str, Registration]
) -> dict[str, int]:
    """Return the blocks that are called like a labeler, or like its title. Raises `BadInput` for several."""
    found: dict[str, int] = {}
    for name, registration in labelers.items():
        called = {name.casefold(), registration.title.casefold()}
        ids = [one.id for one in blocks if one.name.strip().casefold() in called]
        if len(ids) > 1:
            shown = ", ".join(map(str, ids))
            raise BadInput(f"Several blocks are {name}: {shown}. Choose one: --block {name}={ids[0]}.")
        if ids:
            found[name] = ids[0]
    return found


def blocks_in_actions(
    actions: Sequence[StudioAction], labelers: Mapping[str, Registration]
) -> dict[str, int]:
    """Return the blocks whose parameters in existing actions are those of one labeler only."""
    keys: dict[int, set[str]] = {}
    for step in (step for action in actions for step in action.steps):
        keys.setdefault(step.transformation_block_id, set()).update(step.parameters)
    candidates: dict[str, set[int]] = {}
    for block_id, given in keys.items():
        fits = [name for name, one in labelers.items() if given and given <= _keys(one)]
        if len(fits) == 1:
            candidates.setdefault(fits[0], set()).add(block_id)
    return {name: ids.pop() for name, ids in candidates.items() if len(ids) == 1}


def _keys(registration: Registration) -> set[str]:
    return {option.removeprefix("--") for option in options(registration)}
