"""Logs: every logger of the process through structlog, as JSON or for a console, with secrets blotted out."""

import logging
import math
import re
import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

import structlog

from labelbus_runtime.settings import RuntimeSettings

_SECRETS: Final = re.compile(
    r"ei_[0-9A-Za-z]{8,}"  # Edge Impulse API keys
    r"|\b(?:sk-|hf_)[0-9A-Za-z_-]{8,}"  # model providers' keys
    r"|(?<=[Bb]earer )[0-9A-Za-z._~+/=-]{8,}"
    r"|\beyJ[0-9A-Za-z_-]{4,}\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+"  # JSON Web Tokens
)
_QUIET_S: Final = 30.0
_MOST_REMEMBERED: Final = 256
_NOISY: Final = ("alembic", "aiokafka", "aiosqlite", "httpx", "httpcore", "httpx2", "uvicorn.access")


def redact(text: str) -> str:
    """Return the text with whatever looks like a key or a token blotted out: a last net, not a policy."""
    return _SECRETS.sub("***", text)


def configure_logging(settings: RuntimeSettings, stream: TextIO | None = None) -> None:
    """Send all loggers to `stream` (stderr by default). Call once, at the edge."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter(settings))
    handler.addFilter(Repeats())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def take_over(library: str) -> None:
    """Let a library that prints its own records tell them to our handler only. Call once it is imported."""
    logger = logging.getLogger(library)
    logger.handlers.clear()
    logger.propagate = True


class Repeats(logging.Filter):
    """Lets the same warning of a logger pass once in 30 s, with how often it was kept back since.

    A ledger that is away for a minute would else be told of hundreds of times, by everybody who waits; a
    broker thousands of times: Kafka's client calls each of its tries to connect an error.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to write the record."""
        most = logging.WARNING if record.name.startswith("labelbus") else logging.ERROR
        if not logging.WARNING <= record.levelno <= most or record.exc_info:
            return True
        if not isinstance(record.msg, str):
            return True
        text = record.getMessage()
        key, now = (record.name, text), self._clock()
        said_at, kept_back = self._seen.get(key, (-math.inf, 0))
        if now - said_at < _QUIET_S:
            self._seen[key] = (said_at, kept_back + 1)
            return False
        if len(self._seen) >= _MOST_REMEMBERED:
            self._seen.clear()
        self._seen[key] = (now, 0)
        if kept_back:
            record.msg, record.args = f"{text} (said {kept_back} times more since)", ()
        return True


def _shared() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _uncoloured(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Leave out uvicorn's second copy of the text, with colours for a terminal."""
    event.pop("color_message", None)
    return event


def _sentence(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> str:
    """Render for people: `Warning: the text`, and what was raised."""
    error = event.get("exception")
    return f"{str(event['level']).capitalize()}: {event['event']}" + (f"\n{error}" if error else "")


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Renders one line per record and blots out secrets in the result, tracebacks included."""

    def __init__(self, settings: RuntimeSettings) -> None:
        renderers: dict[str, structlog.typing.Processor] = {
            "json": structlog.processors.JSONRenderer(),
            "console": structlog.dev.ConsoleRenderer(
                colors=False,
                exception_formatter=structlog.dev.plain_traceback,  # the other shows locals: keys, headers
            ),
            "plain": _sentence,
        }
        renderer = renderers[settings.log_format]
        error: list[structlog.typing.Processor] = []
        if settings.log_format != "console":
            error.append(structlog.processors.format_exc_info)
        super().__init__(
            foreign_pre_chain=_shared(),
            processors=[self.remove_processors_meta, _uncoloured, *error, renderer],
        )

    def format(self, record: logging.LogRecord) -> str:
        """Render, then redact."""
        return redact(super().format(record))
