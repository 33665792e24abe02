"""What the labelers have in common: one provider, and tasks that are answered side by side."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from labelbus_labeling.each import label_each
from labelbus_labeling.labeler import Labeled, LabelTask
from labelbus_labeling.paid import Prices

from labelbus_relabeler.asking import Asker
from labelbus_relabeler.provider import Provider
from labelbus_relabeler.settings import ProviderSettings

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


def make_labeler(environ: Mapping[str, str], work: Work, default_model: str) -> VisionLabeler:
    """Build a labeler from the environment. Raises `SettingsError`."""
    settings = ProviderSettings.from_environment(environ)
    provider = Provider(settings, prices=Prices.of(environ))
    return VisionLabeler(Asker(provider, default_model), work)
