"""`labelbus run-block`: run an existing custom AI labeling block as the one step of a job."""

from pathlib import Path
from typing import Annotated

import typer
from labelbus_runtime import loop

from labelbus_cli.commands.options import (
    ApplyOption,
    NewOption,
    OnConflictOption,
    ProposeOption,
    ReportOption,
    SampleOption,
    SeedOption,
    YesOption,
    wished,
)


def run_block(
    command: Annotated[
        str,
        typer.Option(help="The block's command, such as 'python transform.py'. It is run without a shell."),
    ],
    data_ids_file: Annotated[
        Path | None, typer.Option("--data-ids-file", help="JSON file with sample ids; else every sample.")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter of the block; a bare NAME is a flag."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SECRET",
            help="An environment variable with a secret, env:VARIABLE or ledger:NAME.",
        ),
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An environment variable.")
    ] = None,
    form: Annotated[
        Path | None,
        typer.Option(help="The block's parameters.json: its defaults are given, its names checked."),
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Where the command runs; else here.")] = None,
    timeout: Annotated[float, typer.Option(min=1, max=600, help="Seconds that one run may take.")] = 300.0,
    samples_per_run: Annotated[
        int, typer.Option(min=1, max=32, help="Samples that one run of the command gets, at most.")
    ] = 16,
    propose: Annotated[
        bool, typer.Option("--propose/--no-propose", help="Run the block with --propose-actions, or without.")
    ] = True,
    ids_object: Annotated[
        bool, typer.Option("--ids-object", help='The block reads {"ids": [1, 2]} instead of [1, 2].')
    ] = False,
    narrow_lists: Annotated[
        bool,
        typer.Option(
            "--narrow-lists", help="Lists show the run's samples only: for blocks that page through."
        ),
    ] = False,
    sample: SampleOption = None,
    seed: SeedOption = 0,
    apply: ApplyOption = False,
    yes: YesOption = False,
    propose_actions: ProposeOption = None,
    new: NewOption = False,
    on_conflict: OnConflictOption = "hold",
    print_action: Annotated[
        bool, typer.Option("--print-action", help="Only print the action file of all this.")
    ] = False,
    report: ReportOption = None,
) -> None:
    """Label samples by a custom block, as a preview or with --apply.

    The block is any program of Edge Impulse's AI labeling block interface. It talks to a Studio that
    catches what it writes; nothing reaches the real one but by the job.
    """
    from labelbus_cli.action_text import as_yaml
    from labelbus_cli.custom_block import Block, action_of
    from labelbus_cli.once import once

    block = Block(
        command=command,
        params=tuple(param or ()),
        secrets=tuple(secret or ()),
        env=tuple(env or ()),
        form=form,
        folder=folder or Path.cwd(),
        more={
            "timeout_s": timeout,
            "samples_per_run": samples_per_run,
            "propose": propose,
            "narrow_lists": narrow_lists,
            "ids_form": "object" if ids_object else "list",
        },
    )
    action = action_of(block)
    if print_action:
        typer.echo(as_yaml(action), nl=False)
        return
    wish = wished(
        action, ids_file=data_ids_file, sample=sample, seed=seed, apply=apply,
        studio_job_id=propose_actions, on_conflict=on_conflict,
    )  # fmt: skip
    raise typer.Exit(loop.run(once(wish, yes=yes, new=new, report=report)))
