"""`labelbus labelers` and `labelbus labeler`: what is installed, and a new one of your own."""

from pathlib import Path
from typing import Annotated

import typer
from labelbus_runtime import loop

app = typer.Typer(no_args_is_help=True, help="Installed labelers.")
own_app = typer.Typer(no_args_is_help=True, help="A labeler of your own.")


@app.callback()
def _labelers() -> None:
    """Keep `labelers` a group although it has one command."""


@app.command("list")
def list_labelers(
    project: Annotated[
        int | None,
        typer.Option(
            "--project", help="Mark what cannot be used in this project (needs EI_PROJECT_API_KEY)."
        ),
    ] = None,
) -> None:
    """Print the installed labelers with what they work on."""
    from labelbus_dispatcher.merge import MERGE_REGISTRATION
    from labelbus_labeling.registry import works_on

    from labelbus_cli.labelers import all_labelers

    labelers = all_labelers()
    reasons: dict[str, str] = {}
    if project is not None:
        from labelbus_cli.fitting import misfits

        reasons = loop.run(misfits(project, labelers))
    for name, registration in sorted(labelers.items()):
        typer.echo(f"{name:<16} {registration.title} ({', '.join(works_on(registration))})")
        if name in reasons:
            typer.echo(f"{'':<16} not here: {reasons[name]}")
    typer.echo(f"{MERGE_REGISTRATION.name:<16} {MERGE_REGISTRATION.title} (steps with branches)")


@own_app.callback()
def _labeler() -> None:
    """Keep `labeler` a group although it has one command."""


@own_app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and dashes: dark-box.")],
) -> None:
    """Write a working labeler package with its test into ./NAME."""
    from labelbus_cli.labelers import all_labelers
    from labelbus_cli.new_labeler import write_labeler

    for path in write_labeler(name, Path(), all_labelers()):
        typer.echo(str(path))
    typer.echo(
        f"Try it: pip install -e ./{name} && pytest {name} && labelbus run {name}/action.yaml --sample 5"
    )
