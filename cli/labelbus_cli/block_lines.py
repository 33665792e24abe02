"""What a block says: plain lines, the same whether its work is done here or on a cluster."""

from collections.abc import Callable
from datetime import datetime

from labelbus_ledger.endings import Ending
from labelbus_studio.client import StudioClient
from labelbus_studio.project_calls import Project

from labelbus_cli.choice import Choice
from labelbus_cli.ids_file import taken_once
from labelbus_cli.progress import PlainDisplay
from labelbus_cli.runner import Outcome
from labelbus_cli.summary import last_lines


class Lines(PlainDisplay):
    """Progress with the time of day; `write` is for what needs none."""

    def __init__(self, write: Callable[[str], None]) -> None:
        super().__init__(lambda text: write(f"[{datetime.now():%H:%M:%S}] {text}"))
        self.write = write


async def tell_choice(
    lines: Lines,
    choice: Choice,
    client: StudioClient,
    project: Project,
    *,
    studio_job_id: int | None,
    there: str = "",
) -> bool:
    """Say what a block begins with, and where; False where it has nothing to do. Raises `StudioError`."""
    where = f"project {project.id} ({project.name})"
    if not await choice.finds_any(client, project.id, studio_job_id=studio_job_id):
        lines.write(choice.nothing_in(where))
        return False
    what = "Proposing changes for" if studio_job_id else "Labeling"
    lines.write(f"{what} {choice.said} of {where}{there}")
    if choice.repeated:
        lines.write(taken_once(choice.repeated))
    return True


def tell(lines: Lines, ending: Ending, outcome: Outcome) -> None:
    """Say how a block's job ended."""
    for row in ending.labels:
        lines.write(f"{row.label or '(no name)'}: {row.after} (+{row.added}, -{row.removed})")
    for group in ending.failures:
        ids = ", ".join(map(str, group.examples))
        lines.write(f"{group.state} {group.count}: {group.reason} (for example {ids})")
    for line in last_lines(outcome.job, outcome.progress, ending, interrupted=outcome.interrupted):
        lines.write(line)
