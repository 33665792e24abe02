"""For labelers that answer each task by itself: the tasks of a batch side by side, faults as answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from labelbus_labeling.labeler import Labeled, LabelTask

Work = Callable[[LabelTask], Awaitable[Labeled]]
"""From one task to its draft. Raises `SampleRefused`, `RetryLater`."""


async def label_each(batch: Sequence[LabelTask], work: Work) -> list[Labeled | Exception]:
    """Answer every task, in order, with its new draft or the error that it met."""
    return await asyncio.gather(*(_answer(task, work) for task in batch))


async def _answer(task: LabelTask, work: Work) -> Labeled | Exception:
    try:
        return await work(task)
    except Exception as error:
        return error
