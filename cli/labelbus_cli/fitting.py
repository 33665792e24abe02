"""What of the installed labelers can be used in a project."""

from collections.abc import Mapping

from labelbus_contracts.labels import SampleKind
from labelbus_labeling.labeler import Registration
from labelbus_labeling.registry import check_fits
from labelbus_studio.errors import StudioError
from labelbus_studio.query import SampleQuery

from labelbus_cli.errors import BadInput, CommandError
from labelbus_cli.session import Session, configure_logs, opened


async def misfits(project: int, labelers: Mapping[str, Registration]) -> dict[str, str]:
    """Return why some labelers cannot be used in the key's project. Raises `BadInput`.

    Checked are the labeling method and the kinds of the newest samples.
    """
    configure_logs()
    async with opened() as session:
        if session.project.id != project:
            raise BadInput(
                f"The API key is of project {session.project.id}, not of {project}. Give that project's key."
            )
        kinds = await _kinds(session)
    method = session.project.labeling_method
    found = {
        name: _misfit([check_fits(one, method, _labeled_as(one, kind)) for kind in kinds])
        for name, one in labelers.items()
    }
    return {name: reason for name, reason in found.items() if reason is not None}


def _labeled_as(registration: Registration, kind: SampleKind | None) -> SampleKind | None:
    """Return the kind of what is labeled: of videos that a labeler can have split, the frames."""
    return "image" if kind == "video" and registration.splits_videos is not None else kind


def _misfit(reasons: list[str | None]) -> str | None:
    return reasons[0] if all(reasons) else None


async def _kinds(session: Session) -> list[SampleKind | None]:
    """Return the kinds of the newest samples; any where there is no sample."""
    try:
        async for page in session.client.pages(session.project.id, SampleQuery()):
            return list(dict.fromkeys(one.facts.kind for one in page))
    except StudioError as error:
        raise CommandError(f"The project's samples cannot be read: {error}") from error
    return [None]
