"""`labelbus run`: label the samples of one project in this process."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from labelbus_runtime import loop

OnConflictOption = Literal["hold", "overwrite"]


def run(
    action: Annotated[
        str,
        typer.Argument(metavar="ACTION", help="An action file, or a stored action: NAME or NAME@REVISION."),
    ],
    data_ids_file: Annotated[
        Path | None,
        typer.Option("--data-ids-file", help="JSON file with sample ids; else the action's filter."),
    ] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Only a random part of so many samples.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses which part.")] = 0,
    apply: Annotated[bool, typer.Option("--apply", help="Write to Studio. Without it nothing is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before writing.")] = False,
    propose_actions: Annotated[
        int | None,
        typer.Option("--propose-actions", min=1, help="Show the proposals in this Studio job too."),
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Do not go on with an unfinished job.")] = False,
    on_conflict: Annotated[
        OnConflictOption, typer.Option(help="What to do with samples that somebody changed meanwhile.")
    ] = "hold",
    report: Annotated[Path | None, typer.Option(help="Where to write the report.")] = None,
    budget: Annotated[
        float | None,
        typer.Option(min=0, metavar="USD", help="The most that calls of paid models may cost."),
    ] = None,
) -> None:
    """Label samples: a preview unless --apply is given. Run it again to go on after an interruption."""
    from labelbus_cli.errors import BadInput
    from labelbus_cli.ids_file import read_ids
    from labelbus_cli.labelers import all_labelers
    from labelbus_cli.once import Once, once
    from labelbus_cli.stored_actions import action_named

    if apply and propose_actions is not None:
        raise BadInput("--apply writes and --propose-actions previews. Give one of them.")
    spec = loop.run(action_named(action, all_labelers()))
    ids = None if data_ids_file is None else read_ids(data_ids_file)
    if ids is not None and ids.repeated:
        typer.echo(f"Note: {ids.repeated} repeated ids in {data_ids_file} are taken once.", err=True)
    asked = Once(
        action=spec,
        ids=None if ids is None else ids.ids,
        sample=sample,
        seed=seed,
        apply=apply,
        yes=yes,
        studio_job_id=propose_actions,
        new=new,
        on_conflict=on_conflict,
        report=report,
        budget_usd=budget,
    )
    raise typer.Exit(loop.run(once(asked)))
