"""Turn the errors of other packages into what ends a command. The one place that knows them all."""

import errno
from typing import Final

from labelbus_ledger.errors import SecretUnavailable
from labelbus_runtime.errors import LabelbusError, SettingsError
from labelbus_studio.errors import KeyRefused, StudioError
from pydantic_core import PydanticSerializationError

from labelbus_cli.errors import BadInput, CommandError

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_WRONG_PLACE: Final = (
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
)  # fmt: skip


def understood(error: Exception) -> CommandError | None:
    """Return what to show; None for a bug, whose traceback is wanted."""
    match error:
        case CommandError():
            return error
        case SettingsError() | SecretUnavailable() | KeyRefused():
            return BadInput(str(error))
        case LabelbusError() | StudioError():
            return CommandError(str(error))
        case PydanticSerializationError():
            return BadInput(
                "A text that was given is no Unicode: it holds half of a letter. Write it anew, as UTF-8."
            )
        case OSError() if error.errno in _NO_ROOM:
            where = f" for {error.filename}" if error.filename else " to write on"
            return CommandError(f"The disk has no room left{where}. Free some, and run the command again.")
        case OSError() if error.filename and error.errno in _WRONG_PLACE:
            fact = f"{error.filename} cannot be used: {error.strerror}."
            return CommandError(f"{fact} Name another place, or give this user access to it.")
        case ExceptionGroup():
            known = [understood(one) for one in error.exceptions]
            return known[0] if known and all(known) else None
        case _:
            return None
