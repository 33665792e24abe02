"""The four labelers: one provider, and tasks that are answered side by side, each by its own work."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from labelbus_labeling.each import label_each
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_labeling.paid import Prices

from labelbus_relabeler.asking import Asker
from labelbus_relabeler.dataset import DatasetLabels
from labelbus_relabeler.detection import detected
from labelbus_relabeler.naming import labeled
from labelbus_relabeler.provider import Provider
from labelbus_relabeler.relabeling import relabeled
from labelbus_relabeler.settings import DEFAULT_MODEL, DETECTION_MODEL, ProviderSettings
from labelbus_relabeler.validation import validated

Work = Callable[[LabelTask, Asker], Awaitable[Labeled]]
"""One labeler's part: from a task to its draft. Raises `SampleRefused`, `RetryLater`."""


class VisionLabeler:
    """Implements `Labeler` by asking a vision language model."""

    def __init__(self, asker: Asker, work: Work) -> None:
        self._asker = asker
        self._work = work

    async def open(self) -> None:
        """Connect. Raises `SettingsError`."""
        await self._asker.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._asker.close()

    async def label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Answer every task, in order, with its new draft or the error that it met."""
        return await label_each(batch, lambda task: self._work(task, self._asker))


def make_labeler(name: str, environ: Mapping[str, str]) -> VisionLabeler:
    """Build one of the four from the environment. Raises `SettingsError`."""
    settings = ProviderSettings.from_environment(environ)
    provider = Provider(settings, prices=Prices.of(environ))
    model = DETECTION_MODEL if name == "detect-llm" else DEFAULT_MODEL
    return VisionLabeler(Asker(provider, model), _work(name))


def _work(name: str) -> Work:
    works: dict[str, Work] = {
        "detect-llm": detected,
        "images": labeled,
        "relabel": relabeled,
        "validate": partial(validated, dataset=DatasetLabels()),
    }
    return works[name]
