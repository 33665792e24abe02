"""`labelbus estimate`: what a run would cost."""

from pathlib import Path
from typing import Annotated

import typer
from labelbus_runtime import loop


def estimate(
    action: Annotated[
        str,
        typer.Argument(metavar="ACTION", help="An action file, or a stored action: NAME or NAME@REVISION."),
    ],
    data_ids_file: Annotated[
        Path | None,
        typer.Option("--data-ids-file", help="JSON file with sample ids; else the action's filter."),
    ] = None,
    pilot: Annotated[
        int, typer.Option(min=0, help="Really label so many random samples, as a preview. 0 pays nothing.")
    ] = 10,
    budget: Annotated[
        float, typer.Option(min=0, metavar="USD", help="The most that the pilot may cost.")
    ] = 1.0,
    seed: Annotated[int | None, typer.Option(help="Chooses the samples; else chance does.")] = None,
) -> None:
    """Estimate calls, tokens and cost of a run. Nothing is written to Studio.

    The answers that the pilot pays for are kept: the run does not pay for them again. With --pilot 0 up to
    50 samples are gone through without calling anybody, and calls counted at the most that they may cost.
    """
    from labelbus_cli.estimating import Asked, estimated
    from labelbus_cli.ids_file import read_ids
    from labelbus_cli.labelers import all_labelers
    from labelbus_cli.stored_actions import action_named

    spec = loop.run(action_named(action, all_labelers()))
    ids = None if data_ids_file is None else read_ids(data_ids_file).ids
    asked = Asked(spec, ids, pilot=pilot, budget_usd=budget, seed=seed)
    raise typer.Exit(loop.run(estimated(asked)))
