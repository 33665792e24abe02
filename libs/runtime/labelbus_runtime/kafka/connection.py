"""How to reach Kafka: security, client options, and what its faults mean to us."""

import ssl
from typing import Any

from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    RecordTooLargeError,
    UnknownTopicOrPartitionError,
)
from faststream.exceptions import IncorrectState
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from labelbus_runtime.errors import InvalidMessage, LabelbusError, SettingsError, Unavailable
from labelbus_runtime.settings import KafkaSettings

_SASL = {"sasl_plain": SASLPlaintext, "sasl_scram256": SASLScram256, "sasl_scram512": SASLScram512}


def security_of(settings: KafkaSettings) -> BaseSecurity | None:
    """Return FastStream's security. Raises `SettingsError` for a CA file that cannot be read."""
    if settings.security == "plaintext":
        return None
    uses_tls = settings.security == "ssl" or settings.tls
    context = _ssl_context(settings) if uses_tls else None
    if settings.security == "ssl":
        return BaseSecurity(ssl_context=context, use_ssl=True)
    assert settings.username is not None
    assert settings.password is not None
    return _SASL[settings.security](
        username=settings.username,
        password=settings.password.get_secret_value(),
        ssl_context=context,
        use_ssl=uses_tls,
    )


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return what an aiokafka client of our own (the admin) needs to connect."""
    from faststream.kafka.security import parse_security

    security = parse_security(security_of(settings))
    return {"bootstrap_servers": settings.bootstrap_servers.split(","), **security}


def meaning_of(error: Exception, settings: KafkaSettings) -> LabelbusError:
    """Return our error for one of Kafka's: nothing is `InvalidMessage` that could pass another time."""
    if isinstance(error, MessageSizeTooLargeError | RecordTooLargeError):
        return InvalidMessage(f"Kafka takes no record of this size: {error}. Raise max.message.bytes.")
    if isinstance(error, UnknownTopicOrPartitionError):
        return Unavailable(f"A topic is missing ({error}). Create it, or set LABELBUS_KAFKA_CREATE_TOPICS=1.")
    is_away = isinstance(error, KafkaConnectionError | IncorrectState)  # their texts help nobody
    why = "no connection" if is_away else str(error) or type(error).__name__
    return Unavailable(
        f"Kafka at {settings.bootstrap_servers} does not answer ({why}). "
        f"Check KAFKA_BOOTSTRAP_SERVERS and that the broker runs{_also(settings)}."
    )


def _also(settings: KafkaSettings) -> str:
    """Return what else may be wrong: aiokafka does not tell a refused login from a broker that is away."""
    if settings.security == "plaintext":
        return ""
    variables = ["LABELBUS_KAFKA_SECURITY", "LABELBUS_KAFKA_CA_FILE"]
    if settings.security != "ssl":
        variables += ["LABELBUS_KAFKA_TLS", "LABELBUS_KAFKA_USERNAME", "LABELBUS_KAFKA_PASSWORD"]
    return f", and {', '.join(variables[:-1])} and {variables[-1]}"


def is_fault(error: BaseException) -> bool:
    """Tell whether an exception is Kafka's or the network's, or comes before there is a connection."""
    return isinstance(error, KafkaError | OSError | TimeoutError | IncorrectState)


def cannot_connect(error: Exception) -> bool:
    """Tell whether no broker was reached at all."""
    return isinstance(error, KafkaConnectionError | NodeNotReadyError | OSError | TimeoutError)


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:
        raise SettingsError(
            f"LABELBUS_KAFKA_CA_FILE {settings.ca_file} cannot be read ({error}). Give a PEM file."
        ) from error
