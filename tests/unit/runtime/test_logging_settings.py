"""Logs keep secrets in; settings say what is wrong with them."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from labelbus_runtime.errors import SettingsError
from labelbus_runtime.logging import Repeats, configure_logging, redact, take_over
from labelbus_runtime.settings import KafkaSettings, RuntimeSettings, load


@pytest.fixture
def root_logger() -> Iterator[None]:
    """Put the root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    "secret",
    [
        "ei_0123456789abcdef",
        "sk-proj-abcdefgh1234",
        "hf_abcdefgh1234",
        "Bearer abcdefghij.klm",
        "eyJhbGciOi.eyJzdWIi.c2ln",
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(secret: str) -> None:
    """Keys and tokens do not reach a log."""
    said = redact(f"called with {secret}, failed")
    assert secret.removeprefix("Bearer ") not in said
    assert "***, failed" in said


@pytest.mark.parametrize("shape", ["json", "console", "plain"])
def test_tracebacks_show_no_values(root_logger: None, shape: str) -> None:
    """What a variable held when something was raised is not written, however short a secret it is."""
    stream = io.StringIO()
    configure_logging(RuntimeSettings.model_validate({"log_format": shape}), stream)
    try:
        secret = "".join(["ses", "ame"])
        raise LookupError(len(secret))
    except LookupError:
        logging.getLogger("one").exception("it failed")
    said = stream.getvalue()
    assert "it failed" in said and "LookupError" in said and "Traceback" in said
    assert "sesame" not in said


def test_a_repeated_warning_is_written_once_in_a_while(root_logger: None) -> None:
    """Hundreds who wait for one thing say so in one line; other warnings, and errors of ours, pass."""
    now = [0.0]
    repeats = Repeats(clock=lambda: now[0])

    def passes(text: str, level: int = logging.WARNING, by: str = "labelbus_one") -> str | None:
        record = logging.LogRecord(by, level, "", 1, "%s", (text,), None)
        return record.getMessage() if repeats.filter(record) else None

    assert [passes("away") for _ in range(3)] == ["away", None, None]
    assert [passes("full"), passes("away", logging.ERROR), passes("away", logging.ERROR)] == [
        "full",
        "away",
        "away",
    ]
    assert [passes("no connection", logging.ERROR, by="aiokafka") for _ in range(2)] == [
        "no connection",
        None,
    ]
    now[0] = 31.0
    assert [passes("away"), passes("away")] == ["away (said 2 times more since)", None]


def test_a_library_that_prints_is_said_once(root_logger: None) -> None:
    """Its own handler goes; ours gets the record."""
    own, ours = io.StringIO(), io.StringIO()
    library = logging.getLogger("library_that_prints")
    library.addHandler(logging.StreamHandler(own))
    configure_logging(RuntimeSettings(log_level="INFO"), ours)
    take_over("library_that_prints")
    library.warning("once")
    assert (own.getvalue(), ours.getvalue().count("once")) == ("", 1)


def test_a_line_is_json_with_its_fields_and_no_secret(root_logger: None) -> None:
    """Standard loggers come out as one JSON object a line, tracebacks redacted too."""
    stream = io.StringIO()
    configure_logging(RuntimeSettings(log_format="json", log_level="INFO"), stream)
    try:
        raise ValueError("key ei_0123456789abcdef")
    except ValueError:
        logging.getLogger("x").exception("handled", extra={"sample_id": "42"})
    line = json.loads(stream.getvalue())
    assert (line["event"], line["sample_id"], line["level"]) == ("handled", "42", "error")
    assert "ei_0123" not in stream.getvalue()
    assert "ValueError" in line["exception"]


def test_a_text_is_logged_without_its_coloured_copy(root_logger: None) -> None:
    """Uvicorn hands over every text twice."""
    stream = io.StringIO()
    configure_logging(RuntimeSettings(log_format="json", log_level="INFO"), stream)
    logging.getLogger("server").info("Started", extra={"color_message": "\x1b[36mStarted"})
    assert "color" not in stream.getvalue() and json.loads(stream.getvalue())["event"] == "Started"


def test_plain_lines_are_sentences(root_logger: None) -> None:
    """Without time and logger, for people; what was raised stays, without secrets."""
    stream = io.StringIO()
    configure_logging(RuntimeSettings(log_format="plain"), stream)
    try:
        raise ValueError("key ei_0123456789abcdef")
    except ValueError:
        logging.getLogger("x").warning("It ends soon.", exc_info=True)
    first, *more = stream.getvalue().splitlines()
    assert (first, more[-1]) == ("Warning: It ends soon.", "ValueError: key ***")


@pytest.mark.parametrize("library", ["httpx", "httpx2", "aiokafka"])
def test_calls_of_libraries_are_no_lines(root_logger: None, library: str) -> None:
    """One line per message handled, not one more per HTTP call."""
    stream = io.StringIO()
    configure_logging(RuntimeSettings(log_format="json", log_level="INFO"), stream)
    logging.getLogger(library).info("HTTP Request")
    assert stream.getvalue() == ""


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable as people set it."""
    monkeypatch.setenv("LABELBUS_KAFKA_WINDOW", "none")
    with pytest.raises(SettingsError, match="LABELBUS_KAFKA_WINDOW"):
        load(KafkaSettings)


def test_sasl_needs_a_name_and_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A half-configured login is refused before anything connects."""
    monkeypatch.setenv("LABELBUS_KAFKA_SECURITY", "sasl_scram512")
    with pytest.raises(SettingsError, match="LABELBUS_KAFKA_PASSWORD"):
        load(KafkaSettings)


def test_the_servers_are_read_from_the_usual_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """KAFKA_BOOTSTRAP_SERVERS is what every Kafka tool reads."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    assert load(KafkaSettings).bootstrap_servers == "kafka:9092"
