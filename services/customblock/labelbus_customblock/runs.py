"""One run of a block: from tasks to what it did to their samples and how it ended."""

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from labelbus_labeling.labeler import LabelTask
from labelbus_runtime.errors import RetryLater
from labelbus_studio.client import StudioClient

from labelbus_customblock import process
from labelbus_customblock.command import environment, words, write_ids
from labelbus_customblock.overlay import Overlay
from labelbus_customblock.parameters import CustomBlockParameters
from labelbus_customblock.proxy import ProxyingStudio, Visit
from labelbus_customblock.redaction import last_lines
from labelbus_customblock.serving import Loopback

logger = logging.getLogger(__name__)
_LEAST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did, and how it ended. `code` is None where it was killed after `timeout_s`.

    `was_cut` tells that it had less time than it may take, because others took theirs. `said` are its last
    lines, without secrets.
    """

    overlay: Overlay
    code: int | None
    said: str
    timeout_s: float
    was_cut: bool


class Runner:
    """Runs blocks against one proxying Studio, a few at a time."""

    def __init__(self, environ: Mapping[str, str], *, processes: int) -> None:
        self._environ = environ
        self._slots = asyncio.Semaphore(processes)
        self._studio = ProxyingStudio()
        self._loopback = Loopback(self._studio)

    async def open(self) -> None:
        """Listen on loopback."""
        await self._loopback.start()

    async def close(self) -> None:
        """Stop listening."""
        await self._loopback.stop()

    async def run(self, tasks: Sequence[LabelTask], *, until: float) -> Run:
        """Run the block once for tasks of one job. `until` is on the monotonic clock.

        Raises `RetryLater`: for the whole job where the command cannot be started, or where a secret or
        Studio's key cannot be had; for these samples where no time is left.
        """
        try:
            async with asyncio.timeout(until - time.monotonic() - _LEAST_S):
                await asyncio.sleep(0)  # a time that is over already counts too
                await self._slots.acquire()
        except TimeoutError:
            raise RetryLater("Other runs of the block took all the time.", code="block-busy") from None
        try:
            return await self._visited(tasks, until)
        finally:
            self._slots.release()

    async def _visited(self, tasks: Sequence[LabelTask], until: float) -> Run:
        first = tasks[0]
        parameters = first.parameters_as(CustomBlockParameters)
        opened = {name: await first.secret(secret) for name, secret in parameters.secrets.items()}
        secrets = {name: value.get_secret_value() for name, value in opened.items()}
        visit = Visit(
            first.project_id,
            await first.own_studio(),
            Overlay.over(tasks),
            secrets,
            narrow_lists=parameters.narrow_lists,
            elsewhere=await _elsewhere(first, parameters, secrets),
        )
        token = self._studio.admit(visit)
        environ = environment(
            parameters,
            self._environ,
            secrets=secrets,
            project_id=first.project_id,
            endpoint=self._loopback.endpoint,
            token=token,
        )
        timeout_s = min(parameters.timeout_s, until - time.monotonic())
        started = time.monotonic()
        try:
            ended = await self._process(parameters, tasks, environ, secrets=secrets, timeout_s=timeout_s)
        finally:
            self._studio.dismiss(token)
        logger.info(
            "Block %s ended with %s after %.1f s for %d samples",
            parameters.command[0], ended.code, time.monotonic() - started, len(tasks),
        )  # fmt: skip
        said = last_lines(ended.output, (*secrets.values(), token))
        logger.debug("Block %s said:\n%s", parameters.command[0], said)
        was_cut = timeout_s < parameters.timeout_s
        return Run(visit.overlay, ended.code, said, timeout_s, was_cut)

    async def _process(
        self,
        parameters: CustomBlockParameters,
        tasks: Sequence[LabelTask],
        environ: Mapping[str, str],
        *,
        secrets: Mapping[str, str],
        timeout_s: float,
    ) -> process.Ended:
        with _scratch() as scratch:
            folder = None if parameters.folder is None else Path(parameters.folder)
            write_ids(parameters, scratch, [task.sample_id for task in tasks])
            line = words(parameters, scratch, secrets)
            try:
                return await process.run(line, environ=environ, folder=folder, timeout_s=timeout_s)
            except OSError as error:
                where = "" if folder is None else f" in {folder}"
                raise RetryLater(
                    f"The block's command {parameters.command[0]!r} cannot be started{where}: "
                    f"{error.strerror or error}. Correct it, then resume the job.",
                    scope="job",
                    code="block-command",
                ) from error


@contextmanager
def _scratch() -> Iterator[Path]:
    """Make a folder for one run. What a container's root wrote there may stay: it is not ours to delete."""
    folder = Path(tempfile.mkdtemp(prefix="labelbus-block-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _elsewhere(
    task: LabelTask, parameters: CustomBlockParameters, secrets: Mapping[str, str]
) -> Mapping[str, StudioClient]:
    """Return clients of the other projects whose keys are among the secrets."""
    keys = {value: parameters.secrets[name] for name, value in secrets.items() if value.startswith("ei_")}
    return {key: await task.studio(name) for key, name in keys.items()}
