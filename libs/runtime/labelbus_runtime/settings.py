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

    model_config = SettingsConfigDict(
        env_prefix="LABELBUS_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    instance: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="Name of this process among the same service's: kept over restarts, never used twice at "
        "a time. On Kafka it makes membership static. Empty: the host's name.",
    )
    log_level: LogLevel = Field(default="INFO", description="Commands log warnings only unless it is set.")
    log_format: Literal["json", "console", "plain"] = Field(
        default="json", description="Commands write plain sentences unless it or the level is set."
    )


class KafkaSettings(BaseSettings):
    """How to reach Kafka. Times are in seconds, as the names say.

    `session_timeout_s` bounds how long a killed worker's partitions stand still; `revoke_drain_s` how long
    a rebalance waits for running messages. `create_topics` may be off where people create topics. `tracing`
    makes OpenTelemetry spans; where they go is OpenTelemetry's own setting (OTEL_EXPORTER_OTLP_ENDPOINT).
    """

    model_config = SettingsConfigDict(
        env_prefix="LABELBUS_KAFKA_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )

    bootstrap_servers: str = Field(
        default="127.0.0.1:9092",
        validation_alias="KAFKA_BOOTSTRAP_SERVERS",
        min_length=1,
        description="Brokers, comma-separated.",
    )
    instance: str | None = Field(default=None, validation_alias="LABELBUS_INSTANCE")
    security: Literal["plaintext", "ssl", "sasl_plain", "sasl_scram256", "sasl_scram512"] = Field(
        default="plaintext", description="How the brokers are spoken to."
    )
    tls: bool = Field(default=True, description="TLS under SASL; `ssl` always has it.")
    ca_file: Path | None = Field(default=None, description="PEM file of the brokers' authority.")
    username: str | None = Field(default=None, description="For SASL.")
    password: SecretStr | None = Field(default=None, description="For SASL.")
    compression: Literal["none", "gzip"] = Field(default="none", description="Of what is published.")
    create_topics: bool = Field(default=True, description="Off: a missing topic is an error at the start.")
    replication_factor: int = Field(default=1, ge=1, description="Of topics that are created.")
    topic_prefix: str = Field(
        default="", pattern=r"^[A-Za-z0-9._-]*$", description="Put before every topic and group."
    )
    session_timeout_s: float = Field(
        default=6.0, ge=6.0, description="How long the partitions of a killed worker stand still."
    )
    rebalance_timeout_s: float = Field(
        default=30.0, gt=0, description="How long a member may take to rejoin."
    )
    max_poll_interval_s: float = Field(
        default=600.0, gt=0, description="A worker that asks for nothing for so long loses its partitions."
    )
    revoke_drain_s: float = Field(
        default=2.0, ge=0, description="How long a rebalance waits for running messages."
    )
    commit_interval_s: float = Field(default=0.2, gt=0, description="How often offsets are committed.")
    window: int = Field(
        default=5_000, ge=1, description="Records read ahead of the first unfinished one, per partition."
    )
    connect_timeout_s: float = Field(default=30.0, gt=0, description="For the first answer of a broker.")
    request_timeout_s: float = Field(
        default=40.0, gt=0, description="For the acknowledgement of what is published."
    )
    tracing: bool = Field(
        default=False, description="OpenTelemetry spans; OTEL_EXPORTER_OTLP_ENDPOINT says where they go."
    )

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
    said = said.removeprefix("Value error, ")
    return f"{name}: {said}" if where else said
