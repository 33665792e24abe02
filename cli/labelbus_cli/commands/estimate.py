"""`labelbus estimate`: what a run would cost."""

from typing import Annotated

import typer
from labelbus_runtime import loop

from labelbus_cli.commands.options import ActionArgument, IdsOption, given_ids


def estimate(
    action: ActionArgument,
    data_ids_file: IdsOption = None,
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
    from labelbus_cli.labelers import all_labelers
    from labelbus_cli.stored_actions import action_named

    spec = loop.run(action_named(action, all_labelers()))
    asked = Asked(spec, given_ids(data_ids_file), pilot=pilot, budget_usd=budget, seed=seed)
    raise typer.Exit(loop.run(estimated(asked)))
