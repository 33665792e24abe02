"""`labelbus`: the entry point, its groups of commands, and what becomes of errors."""

import atexit
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from labelbus_cli.commands import (
    actions,
    block,
    cluster,
    demo,
    estimate,
    jobs,
    keep,
    labelers,
    run_action,
    run_block,
    serve,
)
from labelbus_cli.errors import BadInput, CommandError, Interrupted


class Commands(TyperGroup):
    """Shows what went wrong in one place, without a traceback, and sets the exit code.

    `hurries` tells that the command was interrupted.
    """

    hurries = False

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer's own Context
        """Run a command. 2 is bad input, 1 everything else that a person should look at."""
        try:
            return super().invoke(ctx)
        except CommandError as error:
            failure = error
        except KeyboardInterrupt:
            failure = Interrupted("Interrupted.")
        except BrokenPipeError:
            raise
        except Exception as error:
            from labelbus_cli.foreign import understood

            known = understood(error)
            if known is None:
                raise
            failure = known
        typer.echo(str(failure), err=True)
        Commands.hurries = isinstance(failure, Interrupted)
        raise typer.Exit(failure.exit_code) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Label Edge Impulse datasets with AI models.",
)
app.add_typer(actions.app, name="actions")
app.command("run")(run_action.run)
app.command("run-block")(run_block.run_block)
app.command("estimate")(estimate.estimate)
app.add_typer(jobs.app, name="jobs")
app.command("block", context_settings=block.SETTINGS)(block.block)
app.add_typer(serve.serve_app, name="serve")
app.add_typer(serve.start_app, name="start")
app.command("submit")(cluster.submit)
app.command("topics")(cluster.topics)
app.command("demo")(demo.demo)
app.add_typer(keep.ledger_app, name="ledger")
app.add_typer(keep.tokens_app, name="tokens")
app.add_typer(keep.secrets_app, name="secrets")
app.add_typer(labelers.app, name="labelers")
app.add_typer(labelers.own_app, name="labeler")


def _version(shown: bool) -> None:
    if shown:
        from importlib.metadata import version

        typer.echo(f"labelbus {version('labelbus')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Read `.env` of the current folder; what the environment already says stays."""
    from dotenv import load_dotenv

    path = Path.cwd() / ".env"
    try:
        load_dotenv(path, override=False)
    except ValueError as error:
        raise BadInput(f"The file {path} is no UTF-8 text with NAME=value in every line. Mend it.") from error


def run() -> None:
    """Run the command line and end the process, which waits for no thread: one may still load a model.

    Nor does it take apart what is loaded, which costs a second where torch is.
    """
    code: object = 1
    try:
        app()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    if not Commands.hurries:
        atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads any more, or there is no room
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
