"""`labelbus actions`: write and check action files."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Write and check action files.")


@app.command("new")
def new(labeler: Annotated[str, typer.Argument(help="For example owl-vit.")]) -> None:
    """Print a commented action file for a labeler."""
    from labelbus_cli.action_template import template
    from labelbus_cli.labelers import labeler as find

    typer.echo(template(find(labeler)), nl=False)


@app.command("validate")
def validate(file: Annotated[Path, typer.Argument(help="The action file.")]) -> None:
    """Check an action file. Faults are named with line and column; exit code 2."""
    from labelbus_cli.actions import read_action
    from labelbus_cli.labelers import all_labelers

    action = read_action(file, all_labelers())
    steps = ", ".join(step.labeler for step in action.steps)
    typer.echo(f"{file} is right: action '{action.name}', steps: {steps}.")
