"""Run a labeler as a block: Studio's arguments and environment in, plain lines and an exit code out."""

import os
from collections.abc import Mapping, Sequence
from typing import TextIO

from labelbus_committer.settings import CommitterSettings
from labelbus_labeling.labeler import Registration
from labelbus_ledger.endings import ending
from labelbus_runtime import loop
from labelbus_runtime.logging import redact
from labelbus_runtime.settings import load
from labelbus_studio.settings import StudioSettings

from labelbus_cli.block_arguments import BlockArguments, read_arguments
from labelbus_cli.block_form import form
from labelbus_cli.block_lines import Lines, tell, tell_choice
from labelbus_cli.choice import Choice, chosen
from labelbus_cli.cluster_address import is_given
from labelbus_cli.errors import CommandError
from labelbus_cli.foreign import understood
from labelbus_cli.labelers import block
from labelbus_cli.once import work_for
from labelbus_cli.runner import carry_out
from labelbus_cli.session import KEY_VARIABLE, configure_logs, opened

_TRUST_S = 5.0
"""A sample read so lately is not read again before it is written, unless the environment says otherwise."""

_CALLS = 64
"""Calls to Studio at a time, unless the environment says otherwise: a block is alone in its process."""


def run_block(name: str, argv: Sequence[str], out: TextIO, environ: Mapping[str, str] = os.environ) -> int:
    """Run to the end; return 0, or 1 when something failed. Every write is done before it returns."""

    def say(text: str) -> None:
        for line in redact(text).splitlines():
            print(line, file=out, flush=True)

    try:
        registration = block(name)
        if "--parameters-json" in argv:
            out.write(form(registration))
            return 0
        if not environ.get(KEY_VARIABLE, "").strip():
            raise CommandError(f"Missing {KEY_VARIABLE}")
        arguments = read_arguments(argv, registration)
        for option in arguments.ignored:
            say(f"Ignoring the unknown argument {option}")
        choice = chosen(arguments.ids_file, arguments.limit, registration, arguments.parameters)
        configure_logs()
        if is_given(environ):
            return loop.run(_on_cluster(registration, arguments, choice, Lines(say), environ))
        os.environ.update(arguments.secrets)
        return loop.run(_run(registration, arguments, choice, Lines(say), environ))
    except Exception as error:
        failure = understood(error)
        if failure is None:
            raise
        say(str(failure))
        return 1


async def _run(
    registration: Registration,
    arguments: BlockArguments,
    choice: Choice,
    lines: Lines,
    environ: Mapping[str, str],
) -> int:
    async with opened(studio=_studio(environ)) as session:
        job = arguments.studio_job_id
        if not await tell_choice(lines, choice, session.client, session.project, studio_job_id=job):
            return 0
        given = arguments.parameters.model_dump(mode="json", exclude_unset=True)
        wish = choice.wish(session.project.id, registration, given, studio_job_id=job)
        work = await work_for(session, wish, lines, new=False)
        outcome = await carry_out(session, work, lines, committer=_committer(environ), environ=environ)
        async with session.ledger.read() as connection:
            said = await ending(connection, outcome.job.job_id)
        tell(lines, said, outcome)
        return outcome.exit_code


async def _on_cluster(
    registration: Registration,
    arguments: BlockArguments,
    choice: Choice,
    lines: Lines,
    environ: Mapping[str, str],
) -> int:
    from labelbus_cli.block_cluster import run_on_cluster

    check_after_s = _committer(environ).conflict_check_after_s
    return await run_on_cluster(registration, arguments, choice, lines, environ, check_after_s=check_after_s)


def _studio(environ: Mapping[str, str]) -> StudioSettings:
    settings = load(StudioSettings)
    if "LABELBUS_STUDIO_CONCURRENCY" in environ:
        return settings
    return settings.model_copy(update={"concurrency": _CALLS})


def _committer(environ: Mapping[str, str]) -> CommitterSettings:
    settings = load(CommitterSettings)
    if "LABELBUS_CONFLICT_CHECK_AFTER_S" in environ:
        return settings
    return settings.model_copy(update={"conflict_check_after_s": _TRUST_S})
