"""The interface of a labeler: a name, what it works on, its parameters, and `label`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar, runtime_checkable

from labelbus_contracts.ids import JobId, ProjectId, SampleId, SecretName
from labelbus_contracts.jobs import DataFilter
from labelbus_contracts.labels import Base, LabelSet
from labelbus_contracts.v1.events import Usage
from labelbus_runtime.errors import RetryLater
from labelbus_studio.client import StudioClient
from pydantic import BaseModel, ConfigDict, SecretStr

from labelbus_labeling.paid import PaidCalls, Unmetered

OperatesOn = Literal["images_object_detection", "images_single_label", "audio", "other"]
ENTRY_POINTS = "labelbus.labelers"


class LabelerParameters(BaseModel):
    """The base of every labeler's parameters: the one source of options, validation and forms.

    A field's `description` is its help, `title` its name in forms; `json_schema_extra` may carry
    `{"param": "--official-name", "multiline": true, "show_if": [...]}` for Edge Impulse's form.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")


Parameters = TypeVar("Parameters", bound=LabelerParameters)


class Media(Protocol):
    """The bytes of one sample, fetched when asked for and kept for the other steps."""

    async def image(self) -> bytes:
        """Return the encoded image. Raises `RetryLater`, `SampleRefused`."""

    async def wav(self, axis: int = 0) -> bytes:
        """Return one axis of a time series as WAV. Raises `RetryLater`, `SampleRefused`."""


StudioBySecret = Callable[[SecretName], Awaitable[StudioClient]]
"""Opens a named secret of the task's project: a client of whatever project that key is for."""


OwnStudio = Callable[[], Awaitable[StudioClient]]
"""Opens the client of the task's own project."""
OpenSecret = Callable[[SecretName], Awaitable[SecretStr]]
"""Opens a named secret of the task's project, for a program that must be handed it."""


async def no_studio(secret: SecretName) -> StudioClient:
    """Stand where no Studio can be reached. Raises `RetryLater` for the whole job."""
    raise RetryLater(f"The secret {secret} cannot be opened here.", scope="job", code="key")


async def no_own_studio() -> StudioClient:
    """Stand where no Studio can be reached. Raises `RetryLater` for the whole job."""
    raise RetryLater("The project's Studio cannot be reached here.", scope="job", code="key")


async def no_secret(secret: SecretName) -> SecretStr:
    """Stand where there are no secrets. Raises `RetryLater` for the whole job."""
    raise RetryLater(f"The secret {secret} cannot be opened here.", scope="job", code="key")


@dataclass(frozen=True, slots=True)
class LabelTask:
    """One sample to label. `draft` is what the steps so far made; `source` marks the labels of this step.

    Calls that somebody bills go through `paid`. `studio` reaches another project by the name of its key,
    `own_studio` the task's own; labelers write to neither. `secret` opens what other programs must be handed.
    """

    job_id: JobId
    project_id: ProjectId
    sample_id: SampleId
    base: Base
    draft: LabelSet
    parameters: LabelerParameters
    source: str
    media: Media
    paid: PaidCalls = field(default_factory=Unmetered)
    studio: StudioBySecret = no_studio
    own_studio: OwnStudio = no_own_studio
    secret: OpenSecret = no_secret

    def parameters_as(self, model: type[Parameters]) -> Parameters:
        """Return the parameters as the labeler's own. Raises `TypeError` where they are another's: a bug."""
        if not isinstance(self.parameters, model):
            raise TypeError(f"{self.source} was given {type(self.parameters).__name__}")
        return self.parameters


@dataclass(frozen=True, slots=True)
class Labeled:
    """The new draft, and what it took. `notes` are for people: a truncated prompt, a dropped box."""

    draft: LabelSet
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    notes: tuple[str, ...] = ()


class Labeler(Protocol):
    """Computes drafts. `label` answers each task of a batch with its outcome or the error that it met.

    A batch may mix jobs, projects and parameters. `label` is called again before earlier calls have
    returned, so that downloads overlap computing; a labeler whose engine takes one batch at a time queues.
    A draft keeps what the step is not about: parts and metadata that others made stay as they are.
    """

    async def open(self) -> None:
        """Load what labeling needs. Raises `SettingsError`."""

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Answer every task, in order."""

    async def close(self) -> None:
        """Free what `open` took."""


@runtime_checkable
class Announcing(Protocol):
    """A labeler that has something to say once it is open, such as which of several engines it took."""

    @property
    def announcement(self) -> str:
        """Say it in one sentence, for people who start a job or a process."""


@dataclass(frozen=True, slots=True)
class FormSecret:
    """A secret that Edge Impulse's form asks for, and hands to the block as an environment variable."""

    variable: str
    title: str
    help: str


@dataclass(frozen=True, slots=True)
class Registration:
    """What an entry point of the group `labelbus.labelers` returns when called.

    `make` builds the labeler from the environment (a mapping like `os.environ`) and is where heavy
    imports happen. `capacity` is how many samples one process works on at once; `max_batch` and
    `max_wait_s` shape the batches that `label` gets. A batch whose messages were given up at a stop may go on
    for `linger_s`, so that what is paid is kept. `secrets` come first in the form of its block.

    `splits_videos` tells by the parameters whether videos are split, their frames to be labeled in their
    place: into how many frames per second, or None. `chooses` tells which samples its block works on where
    Studio names none; a block without it must be named some.
    """

    name: str
    title: str
    operates_on: frozenset[OperatesOn]
    parameters: type[LabelerParameters]
    make: Callable[[Mapping[str, str]], Labeler]
    capacity: int = 32
    max_batch: int = 8
    max_wait_s: float = 0.003
    timeout_s: float = 120.0
    linger_s: float = 60.0
    secrets: tuple[FormSecret, ...] = ()
    splits_videos: Callable[[LabelerParameters], int | None] | None = None
    chooses: Callable[[LabelerParameters], DataFilter] | None = None
