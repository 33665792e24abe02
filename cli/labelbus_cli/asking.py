"""The question before anything is written to Studio."""

import signal
import sys
import threading

import typer

from labelbus_cli.errors import BadInput, CommandError


def check_somebody_answers(*, yes: bool) -> None:
    """Raise `BadInput` where nobody can answer, and nobody has said yes."""
    if not yes and not sys.stdin.isatty():
        raise BadInput("Nobody can be asked whether to write: stdin is no terminal. Give --yes.")


def ask_to_write(*, yes: bool) -> None:
    """Ask, unless somebody has said yes. Raises `CommandError` for no."""
    if not yes and not _confirmed():
        raise CommandError("Nothing was written.")


def _confirmed() -> bool:
    """Ask. asyncio would keep the first Ctrl-C from interrupting the question."""
    if threading.current_thread() is not threading.main_thread():
        return typer.confirm("Write to Studio?", err=True)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return typer.confirm("Write to Studio?", err=True)
    except typer.Abort:  # Ctrl-C, or the end of the input
        typer.echo(err=True)
        return False
    finally:
        signal.signal(signal.SIGINT, before)
