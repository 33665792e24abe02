"""Keep what this process was started with from the blocks that it starts: keys stand in its environment."""

import ctypes
import logging
import os
import sys
from typing import Final

logger = logging.getLogger(__name__)
_PR_SET_DUMPABLE: Final = 4
"""`man 2 PR_SET_DUMPABLE`: at 0, /proc/PID/environ and the memory are closed to others of the same user."""


def hide_environment() -> None:
    """Close this process to others of its user, on Linux; root with CAP_SYS_PTRACE sees it still.

    Debuggers of the same user cannot attach then, and no core is dumped. Elsewhere this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        logger.warning("This process cannot be closed to blocks: %s", os.strerror(ctypes.get_errno()))
