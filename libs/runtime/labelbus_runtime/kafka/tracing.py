"""OpenTelemetry spans of every message published and handled, sent by OTLP over HTTP."""

from faststream.kafka.opentelemetry import KafkaTelemetryMiddleware
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


class Tracing:
    """A tracer of one service. Where spans go says OTEL_EXPORTER_OTLP_ENDPOINT, as everywhere."""

    def __init__(self, service: str) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": f"labelbus-{service}"}))
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.middleware = KafkaTelemetryMiddleware(tracer_provider=self._provider)

    def close(self) -> None:
        """Send what is left; blocks for as long as that takes."""
        self._provider.shutdown()
