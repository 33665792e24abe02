"""What goes wrong in the audio labeler before any sample is listened to.

ValueError
└── LabelsError        labels of interest that cannot be read, with the line
SettingsError          (runtime) the process cannot start as it is configured
└── EngineUnavailable  no engine is configured, or the local model cannot be loaded
"""

from labelbus_runtime.errors import SettingsError


class LabelsError(ValueError):
    """Labels of interest that cannot be read. `line` counts from 1; `fact` leaves it out."""

    def __init__(self, fact: str, *, line: int) -> None:
        super().__init__(f"line {line}: {fact}")
        self.fact = fact
        self.line = line


class EngineUnavailable(SettingsError):
    """No engine can listen; the text says what to set or to install."""
