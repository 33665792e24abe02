"""Arguments and options that several commands take, each declared once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

ActionArgument = Annotated[
    str,
    typer.Argument(metavar="ACTION", help="An action file, or a stored action: NAME or NAME@REVISION."),
]
IdsOption = Annotated[
    Path | None,
    typer.Option("--data-ids-file", help="JSON file with sample ids; else the action's filter."),
]
SampleOption = Annotated[int | None, typer.Option(min=1, help="Only a random part of so many samples.")]
SeedOption = Annotated[int, typer.Option(help="Chooses which part.")]
ApplyOption = Annotated[bool, typer.Option("--apply", help="Write to Studio. Without it nothing is.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before writing.")]
ProposeOption = Annotated[
    int | None,
    typer.Option("--propose-actions", min=1, help="Show the proposals in this Studio job too."),
]
NewOption = Annotated[bool, typer.Option("--new", help="Do not go on with an unfinished job.")]
OnConflictOption = Annotated[
    Literal["hold", "overwrite"],
    typer.Option("--on-conflict", help="What to do with samples that somebody changed meanwhile."),
]
ReportOption = Annotated[Path | None, typer.Option("--report", help="Where to write the report.")]
BudgetOption = Annotated[
    float | None,
    typer.Option(min=0, metavar="USD", help="The most that calls of paid models may cost."),
]


def check_apply(apply: bool, studio_job_id: int | None) -> None:
    """Refuse a job that is to write and to preview. Raises `BadInput`."""
    from labelbus_cli.errors import BadInput

    if apply and studio_job_id is not None:
        raise BadInput("--apply writes and --propose-actions previews. Give one of them.")


def given_ids(file: Path | None) -> tuple[int, ...] | None:
    """Return the ids of the file, and say how many stand in it more than once. Raises `BadInput`."""
    from labelbus_cli.ids_file import read_ids, taken_once

    if file is None:
        return None
    ids = read_ids(file)
    if ids.repeated:
        typer.echo(f"Note: {taken_once(ids.repeated)} ({file}).", err=True)
    return ids.ids
