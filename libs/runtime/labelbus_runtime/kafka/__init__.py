"""The carrier on Apache Kafka, through FastStream: nothing else in Labelbus knows either."""

from labelbus_runtime.kafka.app import AsgiApp, app_for, documentation
from labelbus_runtime.kafka.carrier import KafkaCarrier

__all__ = ["AsgiApp", "KafkaCarrier", "app_for", "documentation"]
