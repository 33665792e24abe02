"""Estimate a run from a pilot of random samples, or without paying from the worst case of each call."""

import math
import secrets
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import typer
from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.jobs import ActionSpec
from labelbus_labeling.paid import Prices
from labelbus_labeling.paid.dry import DryRun
from labelbus_ledger import reports, spending
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.remarks import models_of
from labelbus_ledger.reports import Cost
from labelbus_ledger.secrets import SecretStore
from labelbus_runtime.settings import load

from labelbus_cli.errors import BadInput
from labelbus_cli.once import work_for
from labelbus_cli.plan import Wish
from labelbus_cli.progress import PlainDisplay, new_display
from labelbus_cli.runner import Outcome, carry_out
from labelbus_cli.session import Session, configure_logs, opened
from labelbus_cli.survey import survey

_DRY_SAMPLES: Final = 50
_T_95: Final = (
    12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11,
    2.10, 2.09, 2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04,
)  # fmt: skip
"""Two-sided 95 % quantiles of Student's t, for 1 to 30 degrees of freedom."""
_NORMAL_95: Final = 1.96


@dataclass(frozen=True, slots=True)
class Asked:
    """What `labelbus estimate` was asked."""

    action: ActionSpec
    ids: tuple[int, ...] | None
    pilot: int
    budget_usd: float
    seed: int | None


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate of a total, and where it lies with 95 % probability."""

    value: float
    low: float
    high: float


def total_of(values: Sequence[float], population: int) -> Interval:
    """Extrapolate a random sample without repetition to the whole; the sample's own part is certain.

    Student's t of the mean, with the correction for a finite population; at least what was seen.
    """
    count = len(values)
    mean = statistics.fmean(values)
    if count >= population:
        return Interval(sum(values), sum(values), sum(values))
    if count < 2:
        return Interval(mean * population, sum(values), math.inf)
    quantile = _T_95[count - 2] if count - 2 < len(_T_95) else _NORMAL_95
    error = statistics.stdev(values) / math.sqrt(count) * math.sqrt(1 - count / population)
    half = quantile * error * population
    return Interval(mean * population, max(sum(values), mean * population - half), mean * population + half)


async def estimated(asked: Asked) -> int:
    """Carry out `labelbus estimate`; return the exit code."""
    configure_logs()
    async with opened() as session:
        whole = Wish(session.project.id, asked.action, asked.ids, "preview")
        total = (await survey(session, whole)).total
        if not total:
            raise BadInput("No sample fits the action. There is nothing to estimate.")
        seed = secrets.randbelow(2**31) if asked.seed is None else asked.seed
        if asked.pilot:
            return await _pilot(session, replace(whole, sample=asked.pilot, seed=seed), asked, total)
        with tempfile.TemporaryDirectory(prefix="labelbus-estimate-") as folder:
            ledger = await Ledger.open(LedgerSettings(home=Path(folder), database_url=None))
            try:
                return await _dry(_on(session, ledger), replace(whole, sample=_DRY_SAMPLES, seed=seed), total)
            finally:
                await ledger.close()


async def _pilot(session: Session, wish: Wish, asked: Asked, total: int) -> int:
    wish = replace(wish, budget_usd=asked.budget_usd)
    display = new_display()
    work = await work_for(session, wish, display, new=True)
    outcome = await carry_out(session, work, display, committer=load(CommitterSettings))
    async with session.ledger.read() as conn:
        costs = await reports.cost_of_samples(conn, outcome.job.job_id)
        budget = await spending.budget(conn, work.job_id)
        models = await models_of(conn, outcome.job.job_id)
    calls = budget.calls if budget else 0
    spent = budget.spent_usd + budget.held_usd if budget else 0.0
    _tell_pilot(outcome, len(costs), calls, spent)
    if not costs or outcome.job.state == "paused":
        return 1
    _tell_whole(list(costs.values()), calls, total)
    if calls:
        _tell_prices(models)
    await _tell_videos(session, outcome)
    return outcome.exit_code


def _tell_pilot(outcome: Outcome, samples: int, calls: int, spent_usd: float) -> None:
    job = outcome.job
    typer.echo(
        f"Pilot: {samples} samples, {_number(calls)} paid calls, {_money(spent_usd)} (job {job.job_id}). "
        "Its answers are kept and not paid for again."
    )
    if job.state == "paused":
        typer.echo(f"The pilot stopped early: {job.reason}")


def _tell_whole(costs: Sequence[Cost], calls: int, total: int) -> None:
    money = total_of([one.cost_usd for one in costs], total)
    tokens = total_of([float(one.input_tokens + one.output_tokens) for one in costs], total)
    typer.echo(f"All {_number(total)} samples, with 95 % probability:")
    typer.echo(f"  calls   {_number(calls / len(costs) * total)}")
    typer.echo(f"  tokens  {_number(tokens.value)} ({_number(tokens.low)} to {_number(tokens.high)})")
    typer.echo(f"  cost    {_money(money.value)} ({_money(money.low)} to {_money(money.high)})")


def _tell_prices(models: Iterable[str]) -> None:
    """Say by which prices the cost was reckoned, and how old they are."""
    prices = Prices.of()
    for model in sorted(models):
        if prices.price(model) is not None:
            typer.echo(f"  price   {prices.said_of(model)}")


async def _dry(session: Session, wish: Wish, total: int) -> int:
    """Go through some samples with a desk that refuses every call, on a ledger that is thrown away."""
    dry, display = DryRun(), PlainDisplay(lambda _: None)  # every sample ends as failed: nobody need see that
    work = await work_for(session, wish, display, new=True)
    outcome = await carry_out(session, work, display, committer=load(CommitterSettings), paid=dry)
    samples = outcome.progress.done
    if not samples:
        typer.echo(f"Nothing could be counted: {outcome.job.reason or 'no sample was reached.'}")
        return 1
    scale = total / samples
    worst = sum(one.cost_usd for one in dry.asked if not math.isinf(one.cost_usd))
    tokens = sum(one.tokens for one in dry.asked)
    typer.echo(f"At most, from {samples} of {_number(total)} samples, up to their first paid step:")
    calls = sum(one.calls for one in dry.asked)
    typer.echo(f"  calls   {_number(calls * scale)}  ({', '.join(sorted(dry.models)) or 'none'})")
    typer.echo(f"  tokens  {_number(tokens * scale)}")
    known = _money(worst * scale) if worst or not dry.unpriced else ""
    typer.echo(f"  cost    {' and '.join(filter(None, (known, 'unknown' if dry.unpriced else '')))}")
    _tell_prices(dry.models)
    for model, setting in sorted(dry.unpriced.items()):
        typer.echo(f"  price   unknown of {model}; give it in {setting}")
    await _tell_videos(session, outcome)
    return 0


async def _tell_videos(session: Session, outcome: Outcome) -> None:
    """Say what nobody can know before: how many frames the videos have."""
    async with session.ledger.read() as conn:
        count = len(await reports.videos_left_whole(conn, outcome.job.job_id))
    if count:
        which = "1 of these samples is a video" if count == 1 else f"{count} of these samples are videos"
        typer.echo(f"  videos  {which}: the frames that they are split into come on top")


def _on(session: Session, ledger: Ledger) -> Session:
    store = SecretStore(ledger, allow_env=True, keys=None)
    return replace(session, ledger=ledger, access=StudioAccess(session.clients, store))


def _number(value: float) -> str:
    return "any" if math.isinf(value) else f"{value:,.0f}"


def _money(usd: float) -> str:
    if math.isinf(usd):
        return "any"
    return f"${usd:,.2f}" if usd >= 1 or not usd else f"${usd:.4f}"
