"""What ends a command, split by its exit code.

CommandError
├── BadInput      the user gave something that cannot work: exit code 2
│   └── NotThere      a cluster knows no such job or action
├── KeptElsewhere the job belongs to an equal run of a block: exit code 1
└── Unfinished    the work began and did not end well: exit code 1
    └── Interrupted   somebody wants the command to end now
"""


class CommandError(Exception):
    """The root. The text is shown as it is: fact, subject, remedy."""

    exit_code = 1


class BadInput(CommandError):
    """An argument, a file or an environment variable is missing or wrong."""

    exit_code = 2


class NotThere(BadInput):
    """A cluster knows no such job or action."""


class KeptElsewhere(CommandError):
    """An equal run of a block keeps the job; it is gone if it stays silent for `after_s`."""

    def __init__(self, text: str, after_s: float) -> None:
        super().__init__(text)
        self.after_s = after_s


class Unfinished(CommandError):
    """A job paused, was interrupted, or could not go on."""

    exit_code = 1


class Interrupted(Unfinished):
    """The command is to end now; nobody waits for threads that still load something."""
