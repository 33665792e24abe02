"""The detector's settings. Only `app.py`, the registration and the server read them."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Self

from labelbus_labeling.images import MAX_PIXELS
from labelbus_runtime.errors import SettingsError
from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from labelbus_detector.loading import Device, Precision
from labelbus_detector.models import DEFAULT_MODEL

_PREFIX = "LABELBUS_DETECTOR_"


class DetectorSettings(BaseSettings):
    """Each field is LABELBUS_DETECTOR_<NAME> unless its alias says otherwise. Read by `from_environment`."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        protected_namespaces=(),
        env_ignore_empty=True,
    )

    model: str = Field(default=DEFAULT_MODEL, description="A hub id, a local folder, or `toy`.")
    device: Device = Field(default="auto", description="`auto` takes CUDA, then Apple's, then the CPU.")
    dtype: Precision = Field(
        default="auto", description="`auto` computes the image tower in half precision on CUDA."
    )
    pad_value: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Grey with which OWLv2 fills a picture to a square."
    )
    max_batch: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="Images in one batch, at most. Empty: by model and device."
    )
    decode_threads: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Threads that decode pictures."
    )
    max_pixels: Annotated[int, Field(ge=1, le=178_000_000)] = Field(
        default=MAX_PIXELS, description="A larger picture fails."
    )

    beam_endpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices("BEAM_ENDPOINT"),
        description="A detector elsewhere; the model here is not loaded then.",
    )
    beam_access_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("BEAM_ACCESS_KEY"), description="Its bearer token."
    )
    remote_concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=32, description="Calls at a time. The official endpoint starts another GPU from 30."
    )
    remote_first_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=600.0, description="For the first answer of a cold endpoint."
    )
    remote_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="For every other answer."
    )

    serve_token: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("LABELBUS_SERVE_TOKEN"),
        description="What clients of `labelbus serve detector` must send. Needed beyond loopback.",
    )
    serve_host: str = Field(default="127.0.0.1", description="Where `labelbus serve detector` listens.")
    serve_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8080, description="Its port; 0 takes a free one."
    )
    serve_max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=32 * 1024 * 1024, description="A larger request is refused."
    )
    serve_max_waiting: Annotated[int, Field(ge=1)] = Field(
        default=256, description="More requests than this are told to come back."
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read a mapping like `os.environ`, and nothing else. Raises `SettingsError`."""
        try:
            return cls(**_MappingSource(cls, environ)())
        except ValidationError as error:
            raise SettingsError(_explained(error)) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read no process-wide state behind the caller's back."""
        return (init_settings,)

    @property
    def is_loopback(self) -> bool:
        """Tell whether the server is reached from this machine only."""
        if self.serve_host == "localhost":
            return True
        try:
            return ip_address(self.serve_host).is_loopback
        except ValueError:
            return False


class _MappingSource(EnvSettingsSource):
    def __init__(self, settings: type[BaseSettings], environ: Mapping[str, str]) -> None:
        self._environ = environ
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._environ.items() if value}


def _explained(error: ValidationError) -> str:
    """Say which variables are wrong, never what they hold: some are secrets."""
    faults = []
    for fault in error.errors(include_input=False, include_url=False):
        name = str(fault["loc"][0]) if fault["loc"] else ""
        faults.append(f"{name if name.isupper() else _PREFIX + name.upper()}: {fault['msg']}")
    return "The detector's settings are wrong. " + "; ".join(faults)
