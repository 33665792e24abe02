"""The labeler `custom-block`: programs of Edge Impulse's block interface, run for a few samples at a time."""

import asyncio
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_labeling.registry import check_fits
from labelbus_runtime.errors import RetryLater, SampleRefused, SettingsError

from labelbus_customblock import registration
from labelbus_customblock.hiding import hide_environment
from labelbus_customblock.parameters import CustomBlockParameters
from labelbus_customblock.runs import Runner
from labelbus_customblock.settings import COMMANDS_VARIABLE, CustomBlockSettings
from labelbus_customblock.verdicts import verdict

_WITHIN_S: Final = 780.0
"""How long a batch may take; samples that nobody came to are sent again."""
_NAMED_CHARACTERS: Final = 120


class CustomBlockLabeler:
    """Implements `Labeler`. The blocks compute; this starts, feeds and judges them."""

    def __init__(
        self, settings: CustomBlockSettings, environ: Mapping[str, str], *, within_s: float = _WITHIN_S
    ) -> None:
        self._settings = settings
        self._within_s = within_s
        self._runner = Runner(environ, processes=settings.processes)

    async def open(self) -> None:
        """Open the proxying Studio, and close this process's environment. Raises `SettingsError`."""
        hide_environment()
        try:
            await self._runner.open()
        except (OSError, TimeoutError) as error:
            raise SettingsError(f"No port of 127.0.0.1 can be listened on ({error!r}). Free one.") from error

    async def close(self) -> None:
        """Close the proxying Studio."""
        await self._runner.close()

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Answer every task, in order. Runs share what is of one job and step."""
        until = time.monotonic() + self._within_s
        shares = _shares(batch)
        runs = [[batch[place] for place in share] for share in shares]
        answered = await asyncio.gather(*(self._answered(tasks, until) for tasks in runs))
        answers = dict(zip(chain(*shares), chain(*answered), strict=True))
        return [answers[place] for place in range(len(batch))]

    async def _answered(self, tasks: Sequence[LabelTask], until: float) -> list[Labeled | Exception]:
        parameters = tasks[0].parameters_as(CustomBlockParameters)
        if not self._settings.allows(parameters.command):
            return [_not_allowed(parameters)] * len(tasks)
        if steering := self._settings.steering((*parameters.environment, *parameters.secrets)):
            return [_steered(parameters, steering)] * len(tasks)
        fitting = [task for task in tasks if _misfit(task, parameters) is None]
        found = dict(zip(map(id, fitting), await self._judged(fitting, until), strict=True))
        return [found.get(id(task)) or _misfit(task, parameters) or _lost(task) for task in tasks]

    async def _judged(self, tasks: Sequence[LabelTask], until: float) -> list[Labeled | Exception]:
        """Run the block for all, and once more for each that could not be judged."""
        if not tasks:
            return []
        together = await self._run(tasks, until)
        unclear = [task for task, one in zip(tasks, together, strict=True) if one is None]
        alone = await asyncio.gather(*(self._run([task], until) for task in unclear))
        rest = iter(alone)
        return [one or next(rest)[0] or _lost(task) for task, one in zip(tasks, together, strict=True)]

    async def _run(self, tasks: Sequence[LabelTask], until: float) -> list[Labeled | Exception | None]:
        model = shlex.join(tasks[0].parameters_as(CustomBlockParameters).command)[:_NAMED_CHARACTERS]
        try:
            run = await self._runner.run(tasks, until=until)
        except Exception as error:  # of this run's samples: other runs of the batch go on
            return [error] * len(tasks)
        return [verdict(run.overlay.samples[int(task.sample_id)], run, model=model) for task in tasks]


def _shares(batch: Sequence[LabelTask]) -> list[Sequence[int]]:
    """Part a batch into runs of one job and step, each of about the same size; return places in the batch.

    A sample that comes twice, as messages may, is in two runs.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    seen: Counter[tuple[object, ...]] = Counter()
    for place, task in enumerate(batch):
        key = (task.job_id, task.project_id, task.source, task.parameters.model_dump_json())
        seen[*key, task.sample_id] += 1
        groups.setdefault((*key, seen[*key, task.sample_id]), []).append(place)
    return [share for places in groups.values() for share in _parted(places, batch[places[0]])]


def _parted(places: Sequence[int], task: LabelTask) -> list[Sequence[int]]:
    most = task.parameters_as(CustomBlockParameters).samples_per_run
    runs = -(-len(places) // most)
    size = -(-len(places) // runs)
    return [places[begin : begin + size] for begin in range(0, len(places), size)]


def _misfit(task: LabelTask, parameters: CustomBlockParameters) -> SampleRefused | None:
    if not parameters.operates_on:
        return None
    facts = task.base.sample
    only = replace(registration(), operates_on=frozenset(parameters.operates_on))
    reason = check_fits(only, facts.labeling_method, facts.kind)
    return None if reason is None else SampleRefused(f"Sample {task.sample_id}: {reason}", code="unfit")


def _not_allowed(parameters: CustomBlockParameters) -> RetryLater:
    return RetryLater(
        f"This worker may not run {shlex.join(parameters.command)[:_NAMED_CHARACTERS]!r}. Its operator "
        f"allows commands by {COMMANDS_VARIABLE}. Then resume the job.",
        scope="job",
        code="block-command",
    )


def _steered(parameters: CustomBlockParameters, variable: str) -> RetryLater:
    return RetryLater(
        f"This worker may not run {shlex.join(parameters.command)[:_NAMED_CHARACTERS]!r} with the variable "
        f"{variable}, which could make another program of it. Drop it from the action, or allow any command "
        f"by {COMMANDS_VARIABLE}=*. Then resume the job.",
        scope="job",
        code="block-command",
    )


def _lost(task: LabelTask) -> RetryLater:
    return RetryLater(f"Nothing came of sample {task.sample_id}.", code="block-busy")
