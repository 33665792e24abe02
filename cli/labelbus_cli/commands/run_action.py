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
    check_apply,
    given_ids,
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
    from labelbus_cli.once import Once, once
    from labelbus_cli.stored_actions import action_named

    check_apply(apply, propose_actions)
    spec = loop.run(action_named(action, all_labelers()))
    asked = Once(
        action=spec,
        ids=given_ids(data_ids_file),
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
