"""`labelbus submit`: send an action to a cluster."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from labelbus_runtime import loop


def submit(
    action: Annotated[
        str,
        typer.Argument(metavar="ACTION", help="An action file, or a stored action: NAME or NAME@REVISION."),
    ],
    project: Annotated[int, typer.Option("--project", help="The project's number.")],
    secret: Annotated[str, typer.Option("--secret", help="ledger:NAME, see `labelbus secrets put`.")],
    data_ids_file: Annotated[
        Path | None,
        typer.Option("--data-ids-file", help="JSON file with sample ids; else the action's filter."),
    ] = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Only a random part of so many samples.")] = None,
    seed: Annotated[int, typer.Option(help="Chooses which part.")] = 0,
    apply: Annotated[bool, typer.Option("--apply", help="Write to Studio. Without it nothing is.")] = False,
    propose_actions: Annotated[
        int | None,
        typer.Option("--propose-actions", min=1, help="Show the proposals in this Studio job too."),
    ] = None,
    on_conflict: Annotated[Literal["hold", "overwrite"], typer.Option()] = "hold",
    weight: Annotated[int, typer.Option(min=1, max=1000, help="Share of the cluster among jobs.")] = 1,
    budget: Annotated[
        float | None,
        typer.Option(min=0, metavar="USD", help="The most that calls of paid models may cost."),
    ] = None,
) -> None:
    """Submit a job to a cluster (Kafka, or LABELBUS_URL with LABELBUS_TOKEN) and print its id."""
    from labelbus_contracts.ids import ProjectId, SecretName

    from labelbus_cli.cluster import action_there, publish
    from labelbus_cli.errors import BadInput
    from labelbus_cli.ids_file import read_ids
    from labelbus_cli.labelers import all_labelers
    from labelbus_cli.plan import Wish, new_job_id
    from labelbus_cli.session import configure_logs

    if apply and propose_actions is not None:
        raise BadInput("--apply writes and --propose-actions previews. Give one of them.")
    if not secret.startswith("ledger:"):
        raise BadInput("A cluster finds keys in the ledger only. Store one with `labelbus secrets put NAME`.")
    spec = loop.run(action_there(action, all_labelers()))
    wish = Wish(
        project_id=ProjectId(project),
        action=spec,
        ids=None if data_ids_file is None else read_ids(data_ids_file).ids,
        mode="apply" if apply else "preview",
        sample=sample,
        seed=seed,
        studio_job_id=propose_actions,
        on_conflict=on_conflict,
        budget_usd=budget,
    )
    job_id = new_job_id()
    command = wish.submit(job_id, SecretName(secret), "cli").model_copy(update={"weight": weight})
    configure_logs()
    typer.echo(loop.run(publish([command, *wish.more(job_id)])))


def topics() -> None:
    """Create the cluster's topics on Kafka, where services may not do it themselves."""
    from labelbus_cli.cluster import create_topics
    from labelbus_cli.labelers import all_labelers

    loop.run(create_topics(sorted(all_labelers())))
    typer.echo("The topics are there.")
