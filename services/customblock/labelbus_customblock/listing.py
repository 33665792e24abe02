"""Lists of a project's samples that show those of one run only."""

from collections.abc import Mapping

from labelbus_contracts.ids import ProjectId
from labelbus_studio.answers import Call
from labelbus_studio.calls import together
from labelbus_studio.client import StudioClient
from labelbus_studio.errors import SampleNotFound

from labelbus_customblock.overlay import Json, Overlay

_EVERY = ("", "all")


async def narrowed(
    project_id: ProjectId, client: StudioClient, overlay: Overlay, path: str, query: Mapping[str, str]
) -> Json:
    """Return a page of the run's samples, highest ids first, or their count. Raises `StudioError`.

    Of Studio's filters the category counts; the others would only leave out samples of the run.
    """
    rows = await _rows(project_id, client, overlay)
    category = query.get("category", "")
    fitting = [row for row in rows if category in _EVERY or row.get("category") == category]
    if path.endswith("/count"):
        return {"success": True, "count": len(fitting)}
    begin = _whole(query.get("offset"), 0)
    page = fitting[begin : begin + _whole(query.get("limit"), len(fitting))]
    return {"success": True, "samples": page, "totalCount": len(fitting)}


async def _rows(project_id: ProjectId, client: StudioClient, overlay: Overlay) -> list[Json]:
    """Return Studio's rows under the overlay. A run reads each once."""
    missing = [number for number in overlay.samples if number not in overlay.rows]
    await together(_read(project_id, client, overlay, number) for number in missing)
    rows = (overlay.rows[number] for number in sorted(overlay.samples, reverse=True))
    return [overlay.overlaid(row) for row in rows if row is not None]


async def _read(project_id: ProjectId, client: StudioClient, overlay: Overlay, number: int) -> None:
    path = f"/api/{project_id}/raw-data/{number}"
    call = Call(route="relay", path=path, params={"limitPayloadValues": 1}, sample=number)
    try:
        row = (await client.ask(call)).get("sample")
    except SampleNotFound:
        row = None
    overlay.rows[number] = row if isinstance(row, dict) else None


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() else default
