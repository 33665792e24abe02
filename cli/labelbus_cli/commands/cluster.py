"""`labelbus submit`: send an action to a cluster."""

from typing import Annotated

import typer
from labelbus_runtime import loop

from labelbus_cli.commands.options import (
    ActionArgument,
    ApplyOption,
    BudgetOption,
    IdsOption,
    OnConflictOption,
    ProposeOption,
    SampleOption,
    SeedOption,
    wished,
)


def submit(
    action: ActionArgument,
    project: Annotated[int, typer.Option("--project", help="The project's number.")],
    secret: Annotated[str, typer.Option("--secret", help="ledger:NAME, see `labelbus secrets put`.")],
    data_ids_file: IdsOption = None,
    sample: SampleOption = None,
    seed: SeedOption = 0,
    apply: ApplyOption = False,
    propose_actions: ProposeOption = None,
    on_conflict: OnConflictOption = "hold",
    weight: Annotated[int, typer.Option(min=1, max=1000, help="Share of the cluster among jobs.")] = 1,
    budget: BudgetOption = None,
) -> None:
    """Submit a job to a cluster and print its id.

    Where LABELBUS_URL and LABELBUS_TOKEN are set the cluster's HTTP API is asked, else Kafka.
    """
    from labelbus_contracts.ids import ProjectId

    from labelbus_cli.cluster import action_there, publish, secret_there
    from labelbus_cli.labelers import all_labelers
    from labelbus_cli.plan import new_job_id
    from labelbus_cli.session import configure_logs

    name = secret_there(secret)
    spec = loop.run(action_there(action, all_labelers()))
    wish_in = wished(
        spec, ids_file=data_ids_file, sample=sample, seed=seed, apply=apply, studio_job_id=propose_actions,
        on_conflict=on_conflict, budget_usd=budget,
    )  # fmt: skip
    wish, job_id = wish_in(ProjectId(project)), new_job_id()
    command = wish.submit(job_id, name, "cli").model_copy(update={"weight": weight})
    configure_logs()
    typer.echo(loop.run(publish([command, *wish.more(job_id)])))


def topics() -> None:
    """Create the topics on Kafka, where services may not."""
    from labelbus_cli.cluster import create_topics
    from labelbus_cli.labelers import all_labelers

    loop.run(create_topics(sorted(all_labelers())))
    typer.echo("The topics are there.")
