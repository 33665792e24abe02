"""Tell what people should know of an action before it runs: a model that is about to be switched off."""

import typer
from labelbus_contracts.jobs import ActionSpec
from labelbus_labeling.paid import shutdown_notice


def cautions(action: ActionSpec) -> tuple[str, ...]:
    """Return one sentence per step or branch whose parameter `model` names such a model."""
    found = []
    for place in action.places:
        model = place.work.parameters.get("model")
        notice = shutdown_notice(model) if isinstance(model, str) else None
        if notice is not None:
            found.append(f"Step {place.step} ({place.work.labeler}): {notice}")
    return tuple(dict.fromkeys(found))


def print_cautions(action: ActionSpec) -> None:
    """Print them to stderr."""
    for caution in cautions(action):
        typer.echo(f"Note: {caution}", err=True)
