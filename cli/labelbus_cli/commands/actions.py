"""`labelbus actions`: write, check and keep actions, and exchange them with Studio."""

from pathlib import Path
from typing import Annotated

import typer
from labelbus_runtime import loop

app = typer.Typer(no_args_is_help=True, help="Actions: files, stored by name, and Studio's own.")
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The action file.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME[@REVISION]", help="A stored action.")]
BlockOption = Annotated[
    list[str] | None,
    typer.Option("--block", metavar="LABELER=ID", help="The block of a labeler, for example owl-vit=123."),
]


@app.command("new")
def new(
    labeler: Annotated[str, typer.Argument(metavar="LABELER", help="For example owl-vit, or merge.")],
) -> None:
    """Print a commented action file for a labeler."""
    from labelbus_dispatcher.merge import MERGE_REGISTRATION

    from labelbus_cli.action_template import template
    from labelbus_cli.labelers import labeler as find

    registration = MERGE_REGISTRATION if labeler == MERGE_REGISTRATION.name else find(labeler)
    typer.echo(template(registration), nl=False)


@app.command("validate")
def validate(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="An action file, or a stored action.")],
) -> None:
    """Check an action. Faults of a file are named with line and column; exit code 2."""
    from labelbus_cli.labelers import all_labelers
    from labelbus_cli.stored_actions import action_named

    spec = loop.run(action_named(action, all_labelers()))
    steps = ", ".join(step.labeler for step in spec.steps)
    typer.echo(f"{action} is right: action '{spec.name}', steps: {steps}.")


@app.command("add")
def add(
    file: FileArgument, note: Annotated[str, typer.Option(help="What is new in this revision.")] = ""
) -> None:
    """Store an action under its name in the ledger.

    A changed one becomes the next revision.
    """
    from labelbus_cli.labelers import all_labelers
    from labelbus_cli.stored_actions import keep

    stored, is_new = loop.run(keep(file, note, all_labelers()))
    name = stored.spec.shown_name
    said = f"Stored as {name}." if is_new else f"Nothing has changed since {name}, which is stored already."
    typer.echo(f"{said} Run it: labelbus run '{stored.spec.name}'.")


@app.command("list")
def list_() -> None:
    """List the stored actions with their revisions, newest first."""
    from labelbus_cli.stored_actions import listed

    lines = loop.run(listed())
    typer.echo("\n".join(lines) or "There is no stored action yet. `labelbus actions add FILE` stores one.")


@app.command("show")
def show(name: NameArgument) -> None:
    """Print a stored action as a file."""
    from labelbus_cli.action_text import as_yaml
    from labelbus_cli.stored_actions import Name, stored

    typer.echo(as_yaml(loop.run(stored(Name.parse(name))).spec), nl=False)


@app.command("remove")
def remove(name: NameArgument) -> None:
    """Forget a stored action, or one revision of it. Jobs keep what they ran."""
    from labelbus_cli.stored_actions import Name, forget

    number = loop.run(forget(Name.parse(name)))
    typer.echo(f"Removed {number} revision{'s' if number > 1 else ''} of '{Name.parse(name).name}'.")


@app.command("pull")
def pull(
    action: Annotated[
        str | None, typer.Argument(metavar="ACTION", help="Id or name of Studio's action; else list them.")
    ] = None,
    block: BlockOption = None,
) -> None:
    """Print an action of Studio as an action file."""
    from labelbus_cli.exchange import list_studio, pulled

    if action is None:
        typer.echo(loop.run(list_studio()))
        return
    typer.echo(loop.run(pulled(action, block or [])), nl=False)


@app.command("push")
def push(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="An action file, or a stored action.")],
    block: BlockOption = None,
) -> None:
    """Save an action in Studio, by its name there."""
    from labelbus_cli.exchange import pushed

    typer.echo(loop.run(pushed(action, block or [])))
