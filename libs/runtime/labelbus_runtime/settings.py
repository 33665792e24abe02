"""What a process is told by its environment. Only `app.py` and the command line read it."""

import socket
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from labelbus_runtime.errors import SettingsError

AnySettings = TypeVar("AnySettings", bound=BaseSettings)
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class RuntimeSettings(BaseSettings):
    """What every process reads: its own name and how it logs.

    `instance` names this process among the same service's (static membership on Kafka): the same name
    after a restart, never the same name twice at a time.
    """

    model_config = SettingsConfigDict(env_prefix="LABELBUS_", frozen=True, extra="ignore")

    instance: str = Field(default_factory=socket.gethostname, pattern=r"^[A-Za-z0-9._-]{1,200}$")
    log_level: LogLevel = "INFO"
    log_format: Literal["json", "console"] = "json"


class KafkaSettings(BaseSettings):
    """How to reach Kafka. Times are in seconds, as the names say.

    `session_timeout_s` bounds how long a killed worker's partitions stand still; `revoke_drain_s` how long
    a rebalance waits for running messages. `create_topics` may be off where people create topics. `tracing`
    makes OpenTelemetry spans; where they go is OpenTelemetry's own setting (OTEL_EXPORTER_OTLP_ENDPOINT).
    """

    model_config = SettingsConfigDict(
        env_prefix="LABELBUS_KAFKA_", frozen=True, extra="ignore", populate_by_name=True
    )

    bootstrap_servers: str = Field(
        default="127.0.0.1:9092", validation_alias="KAFKA_BOOTSTRAP_SERVERS", min_length=1
    )
    instance: str | None = Field(default=None, validation_alias="LABELBUS_INSTANCE")
    security: Literal["plaintext", "ssl", "sasl_plain", "sasl_scram256", "sasl_scram512"] = "plaintext"
    tls: bool = True
    ca_file: Path | None = None
    username: str | None = None
    password: SecretStr | None = None
    compression: Literal["none", "gzip"] = "none"
    create_topics: bool = True
    replication_factor: int = Field(default=1, ge=1)
    topic_prefix: str = Field(default="", pattern=r"^[A-Za-z0-9._-]*$")
    session_timeout_s: float = Field(default=6.0, ge=6.0)
    rebalance_timeout_s: float = Field(default=30.0, gt=0)
    max_poll_interval_s: float = Field(default=600.0, gt=0)
    revoke_drain_s: float = Field(default=2.0, ge=0)
    commit_interval_s: float = Field(default=0.2, gt=0)
    window: int = Field(default=5_000, ge=1)
    connect_timeout_s: float = Field(default=30.0, gt=0)
    request_timeout_s: float = Field(default=40.0, gt=0)
    tracing: bool = False

    @model_validator(mode="after")
    def _sasl_needs_a_name(self) -> "KafkaSettings":
        if self.security.startswith("sasl") and (self.username is None or self.password is None):
            raise ValueError(
                f"security {self.security} needs LABELBUS_KAFKA_USERNAME and LABELBUS_KAFKA_PASSWORD"
            )
        return self


def load(settings: type[AnySettings]) -> AnySettings:
    """Read settings from the environment. Raises `SettingsError` that names each wrong variable."""
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "")
        wrong = "; ".join(_line(prefix, one["loc"], one["msg"]) for one in error.errors(include_input=False))
        raise SettingsError(f"The environment cannot be used: {wrong}") from None


def _line(prefix: str, where: tuple[int | str, ...], said: str) -> str:
    name = str(where[0]) if where else ""
    name = name if name.isupper() else (prefix + name).upper()
    return f"{name}: {said}" if where else said
