"""How Studio is reached: environment variables `EI_API_ENDPOINT` and `LABELBUS_STUDIO_…`."""

from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class StudioSettings(BaseSettings):
    """Limits hold per project, which is per API key, in one process.

    One call lasts at most `retry_within_s + timeout_s` behind the queue: no attempt begins later than the
    one and none lasts longer than the other. `queue_within_s` bounds the wait for a slot and for the rate.
    """

    model_config = SettingsConfigDict(
        env_prefix="LABELBUS_STUDIO_", frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    endpoint: str = Field(
        default="https://studio.edgeimpulse.com/v1",
        validation_alias=AliasChoices("EI_API_ENDPOINT", "endpoint"),
        description="Studio's API.",
    )
    concurrency: int = Field(default=32, gt=0, description="Calls at a time, per project and process.")
    rate_per_s: float | None = Field(default=None, gt=0, description="Calls per second, at most. Empty: any.")
    timeout_s: float = Field(default=30.0, gt=0, description="One attempt of a call.")
    retry_within_s: float = Field(
        default=10.0, ge=0, description="A call is not tried again later than this."
    )
    queue_within_s: float = Field(default=60.0, gt=0, description="How long a call waits for its turn.")

    @field_validator("endpoint")
    @classmethod
    def _complete(cls, endpoint: str) -> str:
        """Accept a trailing slash and a missing `/v1`; change nothing else."""
        bare = endpoint.rstrip("/")
        parts = urlsplit(bare)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(
                "The Studio endpoint is not an http(s) address. Set EI_API_ENDPOINT like https://host/v1."
            )
        return bare if bare.endswith("/v1") else f"{bare}/v1"
