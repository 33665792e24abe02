"""What is known of a task's project: the labels of its dataset, read once for each job."""

import asyncio
from collections import OrderedDict
from typing import Final
from weakref import WeakValueDictionary

from labelbus_contracts.ids import JobId
from labelbus_labeling.labeler import LabelTask
from labelbus_ledger.access import as_runtime_error
from labelbus_studio.errors import StudioError

_MOST: Final = 100
"""Jobs that are remembered."""


class DatasetLabels:
    """The labels of projects as their jobs began: a job's questions are alike from its first to its last."""

    def __init__(self) -> None:
        self._known: OrderedDict[JobId, tuple[str, ...]] = OrderedDict()
        self._turns: WeakValueDictionary[JobId, asyncio.Lock] = WeakValueDictionary()

    async def of(self, task: LabelTask) -> tuple[str, ...]:
        """Return the labels of the task's project, in order. Raises `RetryLater`, `SampleRefused`."""
        if task.job_id not in self._known:
            async with self._turns.setdefault(task.job_id, asyncio.Lock()):
                if task.job_id not in self._known:
                    self._known[task.job_id] = await _read(task)
        self._known.move_to_end(task.job_id)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return self._known[task.job_id]


async def _read(task: LabelTask) -> tuple[str, ...]:
    client = await task.own_studio()
    try:
        info = await client.project_info(task.project_id)
    except StudioError as error:
        raise as_runtime_error(error, project_id=task.project_id) from error
    return tuple(sorted({label for label in info.labels if label}))
