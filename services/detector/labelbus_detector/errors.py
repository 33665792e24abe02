"""What goes wrong in the detector before any sample is looked at.

ValueError
└── PromptError        a prompt that cannot be read, with line and column
SettingsError          (runtime) the process cannot start as it is configured
└── ModelUnavailable   the model's folder, repository or kind is wrong, or a library is missing
"""

from labelbus_runtime.errors import SettingsError


class PromptError(ValueError):
    """A prompt that cannot be read. `line` and `column` count from 1; `fact` leaves them out."""

    def __init__(self, fact: str, *, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {fact}")
        self.fact = fact
        self.line = line
        self.column = column


class ModelUnavailable(SettingsError):
    """The model cannot be loaded; the text names it and says what to change."""
