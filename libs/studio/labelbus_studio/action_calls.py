"""Studio's own AI labeling actions, jobs, and an organisation's transformation blocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from labelbus_contracts.ids import StudioJobId

from labelbus_studio.answers import Call, Json
from labelbus_studio.calls import Calls
from labelbus_studio.fields import part, rows, text, texts, time, whole


@dataclass(frozen=True, slots=True)
class StudioStep:
    """One transformation block with its parameters, all of them texts."""

    transformation_block_id: int
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StudioAction:
    """An AI labeling action of Studio. `data_category` is `allData`, `unlabeledData` and so on."""

    id: int
    name: str = ""
    steps: tuple[StudioStep, ...] = ()
    data_category: str = "allData"
    data_metadata_key: str | None = None
    data_metadata_value: str | None = None
    metadata_after: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StudioJob:
    """A job of Studio; `succeeded` is None until it ends."""

    id: StudioJobId
    category: str = ""
    created: datetime | None = None
    finished: datetime | None = None
    succeeded: bool | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a job wrote."""

    text: str
    created: datetime | None = None
    level: str | None = None


@dataclass(frozen=True, slots=True)
class TransformationBlock:
    """A transformation block of an organisation; `operates_on` is what an AI labeling block works on."""

    id: int
    name: str
    shown_in_ai_actions: bool = False
    operates_on: tuple[str, ...] = ()
    docker_container: str = ""


class ActionCalls(Calls):
    """Manage actions and jobs of Studio. All methods raise `StudioError`."""

    async def ai_actions(self, project_id: int) -> list[StudioAction]:
        """List the actions."""
        answer = await self.ask(Call(route="ai-actions", path=f"/api/{project_id}/ai-actions"))
        return [_action(row) for row in rows(answer.get("actions"), "actions")]

    async def create_ai_action(self, project_id: int) -> int:
        """Create an empty action, return its id. Not repeated when in doubt."""
        path = f"/api/{project_id}/ai-actions/create"
        call = Call(route="ai-action-create", path=path, method="POST", repeatable=False)
        return whole((await self.ask(call)).get("id"), "action id")

    async def update_ai_action(
        self, project_id: int, action: StudioAction, *, sort_order: int | None = None
    ) -> None:
        """Save an action whole."""
        body: Json = {
            "name": action.name or None,
            "steps": [
                {
                    "transformationBlockId": int(step.transformation_block_id),
                    "parameters": dict(step.parameters),
                }
                for step in action.steps
            ],
            "dataCategory": action.data_category,
            "dataMetadataKey": action.data_metadata_key,
            "dataMetadataValue": action.data_metadata_value,
            "setMetadataAfterRunning": [{"key": k, "value": v} for k, v in action.metadata_after.items()],
            "sortOrder": sort_order,
        }
        await self.ask(
            Call(
                route="ai-action-update",
                path=f"/api/{project_id}/ai-actions/{action.id}",
                method="POST",
                body={name: value for name, value in body.items() if value is not None},
            )
        )

    async def order_ai_actions(self, project_id: int, action_ids: Sequence[int]) -> None:
        """Set the order of all actions, which is also the one they run in from a data source."""
        path = f"/api/{project_id}/ai-actions/order"
        body = {"orderByActionId": [int(one) for one in action_ids]}
        await self.ask(Call(route="ai-actions-order", path=path, method="POST", body=body))

    async def job(self, project_id: int, job_id: int) -> StudioJob:
        """Read the state of a job."""
        path = f"/api/{project_id}/jobs/{job_id}/status"
        return _job(part((await self.ask(Call(route="job-status", path=path))).get("job")))

    async def job_stdout(self, project_id: int, job_id: int, *, limit: int | None = None) -> list[LogLine]:
        """Return the last lines of a job, oldest first; Studio answers at most 1000."""
        path = f"/api/{project_id}/jobs/{job_id}/stdout"
        answer = await self.ask(Call(route="job-stdout", path=path, params={"limit": limit}))
        lines = [
            LogLine(text(row.get("data")), time(row.get("created")), text(row.get("logLevel")) or None)
            for row in rows(answer.get("stdout"), "stdout")
        ]
        return sorted(lines, key=lambda line: line.created.timestamp() if line.created else 0.0)

    async def cancel_job(self, project_id: int, job_id: int, *, force: bool = False) -> None:
        """Cancel a job."""
        path = f"/api/{project_id}/jobs/{job_id}/cancel"
        params = {"forceCancel": True if force else None}
        await self.ask(Call(route="job-cancel", path=path, method="POST", params=params))

    async def transformation_blocks(self, organization_id: int) -> list[TransformationBlock]:
        """List an organisation's transformation blocks; this takes an organisation's key."""
        path = f"/api/organizations/{organization_id}/transformation"
        answer = await self.ask(Call(route="transformation-blocks", path=path))
        return [_block(row) for row in rows(answer.get("transformationBlocks"), "transformationBlocks")]


def _action(row: Json) -> StudioAction:
    config = part(row.get("config"))
    return StudioAction(
        id=whole(row.get("id"), "action id"),
        name=text(row.get("name")) or text(row.get("displayName")),
        steps=tuple(
            StudioStep(whole(step.get("transformationBlockId"), "block id"), texts(step.get("parameters")))
            for step in rows(config.get("steps"), "steps")
        ),
        data_category=text(config.get("dataCategory")) or "allData",
        data_metadata_key=text(config.get("dataMetadataKey")) or None,
        data_metadata_value=text(config.get("dataMetadataValue")) or None,
        metadata_after={
            text(one.get("key")): text(one.get("value"))
            for one in rows(row.get("setMetadataAfterRunning"), "setMetadataAfterRunning")
        },
    )


def _job(row: Json) -> StudioJob:
    finished, succeeded = row.get("finished"), row.get("finishedSuccessful")
    return StudioJob(
        id=StudioJobId(whole(row.get("id"), "job id")),
        category=text(row.get("category")),
        created=time(row.get("created")),
        finished=time(finished),
        succeeded=succeeded is True if finished else None,
    )


def _block(row: Json) -> TransformationBlock:
    operates_on = row.get("aiActionsOperatesOn")
    return TransformationBlock(
        id=whole(row.get("id"), "block id"),
        name=text(row.get("name")),
        shown_in_ai_actions=row.get("showInAIActions") is True,
        operates_on=tuple(text(one) for one in operates_on) if isinstance(operates_on, list) else (),
        docker_container=text(row.get("dockerContainer")),
    )
