"""Print how a job ended: counts per label, failures, and what to do next."""

from collections.abc import Collection, Sequence

import typer
from labelbus_ledger.endings import Ending
from labelbus_ledger.reports import FailureGroup, JobRow, Progress
from labelbus_ledger.tallies import LabelSummary
from rich.console import Console
from rich.table import Table
from rich.text import Text


def bare_table(*names: str, numbers: Collection[str] = (), title: str | None = None) -> Table:
    """Return a table without lines. Where the terminal is narrow, its texts fold; nothing is cut off."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table


def print_ending(
    console: Console, job: JobRow, progress: Progress, ending: Ending, *, interrupted: bool
) -> None:
    """Print what is to be said of a job at its end, as far as it is."""
    _print_labels(console, ending.labels)
    _print_failures(console, (*ending.failures, *ending.waits))
    for line in last_lines(job, progress, ending, interrupted=interrupted):
        typer.echo(line)


def last_lines(job: JobRow, progress: Progress, ending: Ending, *, interrupted: bool) -> list[str]:
    """Return what follows labels and failures: that there are none, disabled samples, what to do next."""
    said = (_of_nothing(job, progress, ending), _of_disabled(ending.disabled, job), _of_videos(ending.videos))
    return [*filter(None, said), closing(job, progress, interrupted=interrupted)]


def _print_labels(console: Console, rows: Sequence[LabelSummary], *, most: int = 30) -> None:
    """Print the most frequent labels."""
    if not rows:
        return
    names = ("label", "before", "after", "added", "removed", "samples", "mean score")
    table = bare_table(*names, numbers=names[1:], title="Labels")
    for row in rows[:most]:
        score = "–" if row.mean_score is None else f"{row.mean_score:.2f}"
        numbers = (row.before, row.after, f"+{row.added}", f"-{row.removed}", row.samples, score)
        table.add_row(Text(row.label or "(no name)"), *map(str, numbers))
    console.print(table)
    if len(rows) > most:
        console.print(f"and {len(rows) - most} further labels; the report has them all")


def _print_failures(console: Console, groups: Sequence[FailureGroup], *, most: int = 15) -> None:
    """Print why samples failed, are held, or wait to be tried again."""
    if not groups:
        return
    waits = any(group.state == "pending" for group in groups)
    title = "Failed, held and to be tried again" if waits else "Failed and held"
    table = bare_table("what", "reason", "samples", "for example", numbers=("samples",), title=title)
    for group in groups[:most]:
        table.add_row(group.state, Text(group.reason), str(group.count), ", ".join(map(str, group.examples)))
    console.print(table)


def _of_nothing(job: JobRow, progress: Progress, ending: Ending) -> str:
    """Return what is said of a finished job none of whose proposals has a label; nothing of others."""
    state = "proposed" if job.mode == "preview" else "committed"
    count = progress.counts.get(state, 0)
    if ending.labels or not count or not job.state.startswith("finished"):
        return ""
    if count == 1:
        return f"The one {state} sample has no label, before or after."
    return f"None of the {count} {state} samples has a label, before or after."


def _of_disabled(count: int, job: JobRow) -> str:
    """Return what is said of samples that the job disabled, or proposes to; nothing for none."""
    if not count:
        return ""
    if job.mode == "preview":
        return f"{count} of the samples would be disabled."
    return "1 sample was disabled." if count == 1 else f"{count} samples were disabled."


def _of_videos(ids: Sequence[int], *, examples: int = 5) -> str:
    """Return what is said of the videos that a preview left whole; nothing for none."""
    if not ids:
        return ""
    shown = ", ".join(map(str, ids[:examples]))
    one = len(ids) == 1
    fact, whose, them = ("1 video is", "its", "it") if one else (f"{len(ids)} videos are", "their", "them")
    return (
        f"{fact} not split in a preview, which writes nothing (for example {shown}). When the action itself "
        f"is applied, {whose} frames are labeled; `labelbus jobs apply` leaves {them} whole."
    )


def closing(job: JobRow, progress: Progress, *, interrupted: bool) -> str:
    """Return the sentences that end a command: what happened, and what to do next."""
    counts = ", ".join(f"{number} {state}" for state, number in _states(job, progress)) or "no samples"
    head = f"Job {job.job_id} {_said(job, interrupted)}: {counts}."
    said = (head, job.reason, _held(job, progress), _advice(job, progress, interrupted))
    return " ".join(part for part in said if part)


def exit_code(job: JobRow, progress: Progress) -> int:
    """Return 0 when all is done, 1 when a person should look: failed or held samples, a job not ended."""
    return 0 if job.state == "finished" and not progress.held else 1


def _held(job: JobRow, progress: Progress) -> str:
    if not progress.held:
        return ""
    fact = "What is held was changed by somebody since it was read, and was left alone."
    again = "Run the action on these samples again"
    if job.submit.source_job_id is None:
        return f"{fact} {again}."
    anyway = f"labelbus jobs apply {job.submit.source_job_id[:8]} --on-conflict overwrite"
    return f"{fact} {again}, or write over it with `{anyway}`."


def _said(job: JobRow, interrupted: bool) -> str:
    if interrupted and job.ended_at is None:
        return "was interrupted"
    return job.state.replace("_", " ") if job.ended_at is not None else f"is {job.state}"


def _advice(job: JobRow, progress: Progress, interrupted: bool) -> str:
    short = job.job_id[:8]
    if job.ended_at is None and "resume" in job.reason:
        return ""
    if interrupted and job.ended_at is None:
        return f"Run the same command again, or `labelbus jobs resume {short}`, to go on where it stopped."
    if job.state == "paused":
        return f"Go on with `labelbus jobs resume {short}`."
    if job.state == "finished_with_failures" and progress.failed:
        again = f"Try the failed ones again with `labelbus jobs resume {short} --retry-failed`."
        is_preview = job.mode == "preview" and progress.counts.get("proposed")
        return f"{again} {_to_apply(job)}" if is_preview else again
    if job.mode == "preview" and job.state == "finished":
        return _to_apply(job)
    return ""


def _to_apply(job: JobRow) -> str:
    fact, there = "Nothing was written to Studio.", job.submit.studio_job_id
    if there is not None:
        fact = f"Studio shows what is proposed in its job {there}; its samples are as they were."
    return f"{fact} Write these proposals with `labelbus jobs apply {job.job_id[:8]}`."


def _states(job: JobRow, progress: Progress) -> Sequence[tuple[str, int]]:
    """Return the states of a job's samples with their counts, ended ones first."""
    order = ("committed", "proposed", "held", "failed", "writing", "labeling", "pending")
    said = {"writing": "labeled"} if job.mode == "preview" else {}  # a preview writes nothing
    return [(said.get(state, state), progress.counts[state]) for state in order if progress.counts.get(state)]


def steps_of(job: JobRow) -> Sequence[str]:
    """Return the labelers of a job, in order, those of branches one by one."""
    return [place.work.labeler for place in job.submit.action.places]
