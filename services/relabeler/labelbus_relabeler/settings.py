"""Which model answers, and where. Only the registrations read the environment."""

from collections.abc import Mapping
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from labelbus_labeling.engine_settings import EngineSettings
from labelbus_runtime.errors import SettingsError
from pydantic import Field, SecretStr

DEFAULT_MODEL: Final = "gpt-6-luna"
DETECTION_MODEL: Final = "gpt-6-astra"
"""What draws boxes where no model is named: the one that the official block asks."""
_OPENAI: Final = "https://api.openai.com/v1"
_LONGEST_NAME: Final = 64
"""What the ledger has room for."""


class ProviderSettings(EngineSettings):
    """Each field is the environment variable that its alias names; empty ones count as absent.

    Azure is asked where AZURE_OPENAI_ENDPOINT is set, else OPENAI_BASE_URL (any server that speaks
    OpenAI's chat completions, with or without a key), else OpenAI.
    """

    whose = "The relabeler's"

    api_key: SecretStr | None = Field(
        default=None,
        validation_alias="OPENAI_API_KEY",
        description="The key of OpenAI, or of the server at OPENAI_BASE_URL, where that wants one.",
    )
    base_url: str | None = Field(
        default=None,
        validation_alias="OPENAI_BASE_URL",
        description="Another server of OpenAI's chat completions, such as http://localhost:8000/v1.",
    )
    model: str | None = Field(
        default=None,
        validation_alias="OPENAI_MODEL",
        description="The model that answers. Empty: gpt-6-luna, and gpt-6-astra for boxes.",
    )
    reasoning_effort: str | None = Field(
        default=None,
        validation_alias="OPENAI_REASONING_EFFORT",
        description="How long a model thinks. Empty: none for gpt-6, the model's own for others.",
    )
    azure_endpoint: str | None = Field(
        default=None,
        validation_alias="AZURE_OPENAI_ENDPOINT",
        description="An Azure OpenAI resource, such as https://NAME.openai.azure.com.",
    )
    azure_api_key: SecretStr | None = Field(
        default=None, validation_alias="AZURE_OPENAI_API_KEY", description="Its key."
    )
    azure_deployment: str | None = Field(
        default=None, validation_alias="AZURE_OPENAI_DEPLOYMENT", description="The deployment that answers."
    )
    azure_api_version: str = Field(
        default="2024-10-21", validation_alias="AZURE_OPENAI_API_VERSION", description="Its API version."
    )
    concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=64,
        validation_alias="LABELBUS_RELABELER_CONCURRENCY",
        description="Calls at a time in one process, of all jobs together.",
    )
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60.0,
        validation_alias="LABELBUS_RELABELER_TIMEOUT_S",
        description="How long one answer may take; detection gets five times as long.",
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read a mapping like `os.environ`. Raises `SettingsError`, which never repeats a value."""
        settings = super().from_environment(environ)
        settings._check_addresses()
        return settings

    def check_key(self) -> None:
        """Raise `SettingsError` where the chosen provider cannot be asked for want of a key or a name."""
        if self.azure_endpoint:
            missing = [
                name
                for name, value in (
                    ("AZURE_OPENAI_API_KEY", self.azure_api_key),
                    ("AZURE_OPENAI_DEPLOYMENT", self.azure_deployment or self.model),
                )
                if not value
            ]
            if missing:
                raise SettingsError(
                    f"AZURE_OPENAI_ENDPOINT is set, but not {' and '.join(missing)}. Set it too."
                )
        elif not self.api_key and not self.base_url:
            raise SettingsError(
                "Missing OPENAI_API_KEY. Set it, or name another server by OPENAI_BASE_URL or "
                "AZURE_OPENAI_ENDPOINT."
            )

    @property
    def provider(self) -> str:
        """Name who answers and bills: the host, with its port where it has one; of a long one the end.

        Whoever logs in by the address itself (`https://user:word@host`) is not named.
        """
        return urlsplit(self._address).netloc.rpartition("@")[2][-_LONGEST_NAME:]

    @property
    def path(self) -> str:
        """Return what follows the host in the address: one host may have several servers."""
        return urlsplit(self._address).path.rstrip("/")

    @property
    def _address(self) -> str:
        return self.azure_endpoint or self.base_url or _OPENAI

    @property
    def is_openai(self) -> bool:
        """Tell whether OpenAI itself answers."""
        return not self.azure_endpoint and self._address.startswith("https://api.openai.com")

    def model_for(self, asked: str | None, default: str) -> str:
        """Return the model: a job's own, else the environment's, else the labeler's default."""
        if self.azure_endpoint:
            return asked or self.azure_deployment or self.model or default
        return asked or self.model or default

    def effort_for(self, model: str, asked: str | None) -> str | None:
        """Return the reasoning effort to send; None leaves it to the model, as those that know none need."""
        if asked or self.reasoning_effort:
            return asked or self.reasoning_effort
        return "none" if self.is_openai and model.startswith("gpt-6") else None

    def _check_addresses(self) -> None:
        for name, value in (
            ("OPENAI_BASE_URL", self.base_url),
            ("AZURE_OPENAI_ENDPOINT", self.azure_endpoint),
        ):
            if value and not (value.startswith(("http://", "https://")) and urlsplit(value).hostname):
                raise SettingsError(f"{name} is no address. It begins with https:// or http://.")
