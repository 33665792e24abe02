"""`labelbus run`: label the samples of one project in this process."""

import typer
from labelbus_runtime import loop

from labelbus_cli.commands.options import (
    ActionArgument,
    ApplyOption,
    BudgetOption,
    IdsOption,
    NewOption,
    OnConflictOption,
    ProposeOption,
    ReportOption,
    SampleOption,
    SeedOption,
    YesOption,
    wished,
)


def run(
    action: ActionArgument,
    data_ids_file: IdsOption = None,
    sample: SampleOption = None,
    seed: SeedOption = 0,
    apply: ApplyOption = False,
    yes: YesOption = False,
    propose_actions: ProposeOption = None,
    new: NewOption = False,
    on_conflict: OnConflictOption = "hold",
    report: ReportOption = None,
    budget: BudgetOption = None,
) -> None:
    """Label samples: a preview unless --apply is given. Run it again to go on after an interruption."""
    from labelbus_cli.labelers import all_labelers
    from labelbus_cli.once import once
    from labelbus_cli.stored_actions import action_named

    spec = loop.run(action_named(action, all_labelers()))
    wish = wished(
        spec, ids_file=data_ids_file, sample=sample, seed=seed, apply=apply, studio_job_id=propose_actions,
        on_conflict=on_conflict, budget_usd=budget,
    )  # fmt: skip
    raise typer.Exit(loop.run(once(wish, yes=yes, new=new, report=report)))
