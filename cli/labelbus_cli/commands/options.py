"""Arguments and options that several commands take, each declared once."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from labelbus_contracts.ids import ProjectId
    from labelbus_contracts.jobs import ActionSpec

    from labelbus_cli.plan import Wish

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


def wished(
    action: "ActionSpec",
    *,
    ids_file: Path | None,
    sample: int | None,
    seed: int,
    apply: bool,
    studio_job_id: int | None,
    on_conflict: Literal["hold", "overwrite"],
    budget_usd: float | None = None,
) -> "Callable[[ProjectId], Wish]":
    """Return the job that the options ask for, but for its project. Raises `BadInput`."""
    from labelbus_cli.errors import BadInput
    from labelbus_cli.plan import Wish

    if apply and studio_job_id is not None:
        raise BadInput("--apply writes and --propose-actions previews. Give one of them.")
    return partial(
        Wish,
        action=action,
        ids=given_ids(ids_file),
        mode="apply" if apply else "preview",
        sample=sample,
        seed=seed,
        studio_job_id=studio_job_id,
        on_conflict=on_conflict,
        budget_usd=budget_usd,
    )


def given_ids(file: Path | None) -> tuple[int, ...] | None:
    """Return the ids of the file, and say how many stand in it more than once. Raises `BadInput`."""
    from labelbus_cli.ids_file import read_ids, taken_once

    if file is None:
        return None
    ids = read_ids(file)
    if ids.repeated:
        typer.echo(f"Note: {taken_once(ids.repeated)} ({file}).", err=True)
    return ids.ids
