"""Exchange actions with Studio: `labelbus actions pull|push`."""

import os
from collections.abc import Sequence

import typer
from labelbus_runtime.settings import load
from labelbus_studio.action_calls import StudioAction
from labelbus_studio.client import StudioClients
from labelbus_studio.errors import StudioError
from labelbus_studio.settings import StudioSettings
from pydantic import SecretStr

from labelbus_cli.action_text import as_yaml
from labelbus_cli.actions import nearest
from labelbus_cli.errors import BadInput, CommandError
from labelbus_cli.labelers import all_labelers
from labelbus_cli.session import Session, configure_logs, opened
from labelbus_cli.stored_actions import action_named
from labelbus_cli.studio_blocks import blocks_by_name, blocks_in_actions, given_blocks
from labelbus_cli.studio_mapping import from_studio, to_studio


async def list_studio() -> str:
    """Return one line for each action of the project in Studio."""
    configure_logs()
    async with opened() as session:
        actions = await _actions(session)
    if not actions:
        return "The project has no AI labeling action. `labelbus actions push FILE` makes one."
    return "\n".join(f"{one.id:>8}  {one.name}  ({_counted(len(one.steps))})" for one in actions)


def _counted(steps: int) -> str:
    return "1 step" if steps == 1 else f"{steps} steps"


async def pulled(wanted: str, blocks: Sequence[str]) -> str:
    """Return the text of an action file for one action of Studio. Raises `BadInput`."""
    configure_logs()
    labelers = all_labelers()
    given = given_blocks(blocks, labelers)
    async with opened() as session:
        actions = await _actions(session)
        found = _chosen(actions, wanted)
        known = await _blocks(actions, given)
    result = from_studio(found, known, labelers)
    for note in result.notes:
        typer.echo(f"Note: {note}", err=True)
    return as_yaml(result.action)


async def pushed(text: str, blocks: Sequence[str]) -> str:
    """Save an action in Studio and say where. Raises `BadInput` for what Studio cannot hold."""
    configure_logs()
    labelers = all_labelers()
    given = given_blocks(blocks, labelers)
    action = await action_named(text, labelers)
    async with opened() as session:
        actions = await _actions(session)
        same = [one for one in actions if one.name == action.name]
        if len(same) > 1:
            ids = ", ".join(str(one.id) for one in same)
            raise BadInput(
                f"Several actions in Studio are called '{action.name}': {ids}. Rename all but one."
            )
        studio = to_studio(
            action, await _blocks(actions, given), labelers, action_id=same[0].id if same else 0
        )
        return await _save(session, studio)


async def _save(session: Session, studio: StudioAction) -> str:
    """Update an action, or create the one that has no id yet."""
    project_id = session.project.id
    try:
        action_id = studio.id or await session.client.create_ai_action(project_id)
        saved = StudioAction(
            action_id, studio.name, studio.steps, studio.data_category, studio.data_metadata_key,
            studio.data_metadata_value, studio.metadata_after,
        )  # fmt: skip
        await session.client.update_ai_action(project_id, saved)
    except StudioError as error:
        raise CommandError(f"Studio did not save the action '{studio.name}': {error}") from error
    done = "Updated" if studio.id else "Created"
    return f"{done} action {action_id} ('{studio.name}') in project {project_id} ({session.project.name})."


async def _actions(session: Session) -> list[StudioAction]:
    try:
        return await session.client.ai_actions(session.project.id)
    except StudioError as error:
        raise CommandError(f"Studio's actions cannot be read: {error}") from error


def _chosen(actions: Sequence[StudioAction], wanted: str) -> StudioAction:
    found = [one for one in actions if wanted in (str(one.id), one.name)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(str(one.id) for one in found)
        raise BadInput(f"Several actions are called '{wanted}': {ids}. Give the number.")
    raise BadInput(f"Studio has no action '{wanted}'. {nearest(wanted, (one.name for one in actions))}")


async def _blocks(actions: Sequence[StudioAction], given: dict[str, int]) -> dict[str, int]:
    """Return the block of each labeler that is known; what the user said counts most.

    A number that was given for one labeler is no other's.
    """
    labelers = all_labelers()
    others = {name: one for name, one in labelers.items() if name not in given}
    found = {**blocks_in_actions(actions, others), **await _organisations(list(others))}
    return {**{name: one for name, one in found.items() if one not in given.values()}, **given}


async def _organisations(names: Sequence[str]) -> dict[str, int]:
    """Ask the organisation, where the environment names it and its key."""
    organisation = os.environ.get("EI_ORGANIZATION_ID", "").strip()
    key = os.environ.get("EI_API_KEY", "").strip()
    if not organisation or not key:
        return {}
    if not organisation.isdecimal():
        raise BadInput(f"EI_ORGANIZATION_ID is {organisation!r}. Set it to the organisation's number.")
    clients = StudioClients(load(StudioSettings))
    try:
        blocks = await clients.get(SecretStr(key)).transformation_blocks(int(organisation))
    except StudioError as error:
        raise CommandError(
            f"The blocks of organisation {organisation} cannot be read: {error} Check EI_API_KEY, or name "
            "blocks with --block."
        ) from error
    finally:
        await clients.aclose()
    labelers = all_labelers()
    return blocks_by_name(blocks, {name: labelers[name] for name in names})
