"""What ends a command, split by its exit code.

CommandError
├── BadInput      the user gave something that cannot work: exit code 2
└── Unfinished    the work began and did not end well: exit code 1
"""


class CommandError(Exception):
    """The root. The text is shown as it is: fact, subject, remedy."""

    exit_code = 1


class BadInput(CommandError):
    """An argument, a file or an environment variable is missing or wrong."""

    exit_code = 2


class Unfinished(CommandError):
    """A job paused, was interrupted, or could not go on."""

    exit_code = 1
