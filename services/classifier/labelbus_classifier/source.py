"""The project whose impulse labels: found by its key, checked once in a while, asked about images."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias
from weakref import WeakValueDictionary

from labelbus_contracts.ids import ProjectId
from labelbus_contracts.labels import LabelingMethod
from labelbus_labeling.labeler import LabelTask
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio.client import StudioClient
from labelbus_studio.errors import KeyRefused, StudioError, StudioRefused, StudioUnavailable
from labelbus_studio.project_calls import Classification, Project

from labelbus_classifier.parameters import PretrainedParameters

FIRST_IMPULSE: Final = 1
_CHECKED_S: Final = 300.0
"""How long a source that was found fit is taken for fit."""
_UNREADY: Final = re.compile(r"impulse|\btrain|deploy|\bbuil[dt]|no model|model (is )?not", re.IGNORECASE)
"""What Studio's refusal says where no picture at all can be classified."""
_MEND: Final = "Correct source_secret, or the key that it names (in a block: --source-project-api-key)."
Fault: TypeAlias = RetryLater | SampleRefused


@dataclass(frozen=True, slots=True)
class Source:
    """A project and the number of the impulse that labels."""

    client: StudioClient
    project: Project
    impulse_id: int

    @property
    def model(self) -> str:
        """Name what labels, for people."""
        return f"project {self.project.id}, impulse {self.impulse_id}"

    async def classify(self, image: bytes) -> Classification:
        """Ask about one image. Raises `RetryLater`, `SampleRefused`."""
        media_type = "image/png" if image.startswith(b"\x89PNG") else "image/jpeg"
        try:
            return await self.client.classify_image(
                self.project.id, image, impulse_id=self.impulse_id, media_type=media_type
            )
        except StudioError as error:
            raise _meant(error, self.project.id) from error


class Sources:
    """Finds the source of a task. What was found fit is not looked at again for a while."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._checked: dict[tuple[int, int], tuple[float, Source]] = {}
        self._turns: WeakValueDictionary[tuple[int, int], asyncio.Lock] = WeakValueDictionary()

    async def of(self, task: LabelTask, parameters: PretrainedParameters) -> Source:
        """Return the source. Raises `RetryLater`, for the whole job where the source cannot label it."""
        client = await task.studio(parameters.source_secret)
        impulse_id = parameters.source_project_impulse_id or FIRST_IMPULSE
        turn = self._turns.setdefault((id(client), impulse_id), asyncio.Lock())
        async with turn:  # samples that come together look once
            source = self._known(client, impulse_id) or await self._looked_at(client, impulse_id)
        _check_methods(source.project, task.base.sample.labeling_method)
        return source

    def _known(self, client: StudioClient, impulse_id: int) -> Source | None:
        until, source = self._checked.get((id(client), impulse_id), (0.0, None))
        fresh = source is not None and source.client is client and self._clock() < until
        return source if fresh else None

    async def _looked_at(self, client: StudioClient, impulse_id: int) -> Source:
        source = await _checked(client, impulse_id)
        now = self._clock()
        self._checked = {key: known for key, known in self._checked.items() if known[0] > now}
        self._checked[id(client), impulse_id] = (now + _CHECKED_S, source)
        return source


async def _checked(client: StudioClient, impulse_id: int) -> Source:
    try:
        project = await client.project()
    except StudioError as error:
        raise _meant(error, None) from error
    try:
        impulse = await client.impulse(project.id, impulse_id=impulse_id)
    except KeyRefused as error:
        raise _meant(error, project.id) from error
    except StudioRefused as error:
        raise _no_impulse(project, impulse_id, str(error)) from error
    except StudioError as error:
        raise _meant(error, project.id) from error
    if impulse is None:
        raise _no_impulse(project, impulse_id, "")
    return Source(client, project, impulse_id)


def _check_methods(source: Project, wanted: LabelingMethod) -> None:
    if "unknown" in (source.labeling_method, wanted) or source.labeling_method == wanted:
        return
    fact = f"The source project {source.id} ({source.name}) is labeled by {source.labeling_method}, this "
    fact += f"project by {wanted}. Both must be labeled alike: choose another source."
    raise RetryLater(fact, scope="job", code="source-method")


def _no_impulse(project: Project, impulse_id: int, said: str) -> RetryLater:
    fact = f"The source project {project.id} ({project.name}) has no impulse {impulse_id}"
    fact += f" (Studio: {said})" if said else ""
    return RetryLater(
        f"{fact}. Train one, or name another by source_project_impulse_id.",
        scope="job",
        code="source-impulse",
    )


def _meant(error: StudioError, project_id: ProjectId | None) -> Fault:
    """Return what a fault of Studio means when the source is asked."""
    name = "The source project" if project_id is None else f"The source project {project_id}"
    match error:
        case KeyRefused():
            said = str(error).removesuffix("Give the job a valid key.").strip()
            fact = f"{name} does not let us in. {said} {_MEND}"
            return RetryLater(fact, scope="job", code="source-key")
        case StudioRefused() if _UNREADY.search(str(error)):
            fact = f"{name} cannot label: {error} Train and build its impulse, or choose another source."
            return RetryLater(fact, scope="job", code="source-impulse")
        case StudioRefused():
            return SampleRefused(f"{name} refused the image: {error}", code="source-refused")
        case StudioUnavailable():
            fact = f"{name} cannot be asked: {error}"
            return RetryLater(fact, after_s=error.retry_after_s, code="source-unavailable")
        case _:
            return RetryLater(f"{name} answered strangely: {error}", code="source-confused")
