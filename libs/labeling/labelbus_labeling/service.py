"""The worker around a labeler: from `LabelSample` to what became of it."""

import asyncio
import json
import logging
import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache, partial
from typing import Final

from labelbus_contracts.labels import Base
from labelbus_contracts.topics import label_topic
from labelbus_contracts.v1.commands import LabelSample
from labelbus_contracts.v1.events import Usage
from labelbus_contracts.v1.message import Message
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger
from labelbus_ledger.instances import Heartbeat
from labelbus_ledger.job_states import JobStates
from labelbus_runtime.batching import Batcher
from labelbus_runtime.errors import InvalidMessage, RetryLater, SampleRefused
from labelbus_runtime.worker import Carrier, Worker

from labelbus_labeling import replies
from labelbus_labeling.cache import BlobCache
from labelbus_labeling.errors import WrongParameters
from labelbus_labeling.labeler import Announcing, Labeled, Labeler, LabelerParameters, LabelTask, Registration
from labelbus_labeling.paid.answer import PaidCalls, PaidDesk
from labelbus_labeling.paid.metered import Metered, Register
from labelbus_labeling.paid.rate_settings import RateSettings
from labelbus_labeling.reading import SampleReader
from labelbus_labeling.registry import check_fits, frames_per_second, validate_parameters

_log = logging.getLogger(__name__)
_AHEAD: Final = 2  # samples taken per sample worked on: downloads overlap computing
_AROUND_S: Final = 120.0  # reading a base and waiting for a batch, beside the labeler's own time


class LabelerService:
    """Labels the samples of one labeler's topic. Its labeler gets several batches at once."""

    def __init__(
        self,
        registration: Registration,
        labeler: Labeler,
        *,
        access: StudioAccess,
        job_states: JobStates,
        ledger: Ledger,
        carrier_id: str,
        instance: str,
        cache: BlobCache,
        rates: RateSettings | None = None,
        paid: PaidDesk | None = None,
    ) -> None:
        self._registration = registration
        self._labeler = labeler
        self._job_states = job_states
        self._access = access
        self._reader = SampleReader(access, cache)
        self._paid = paid or Register(ledger, rates)
        self._parameters = lru_cache(maxsize=256)(self._parse)
        self._heartbeat = Heartbeat(ledger, carrier_id, registration.name, instance, registration.capacity)
        self._batcher = Batcher(
            self._label,
            max_size=registration.max_batch,
            max_wait_s=registration.max_wait_s,
            parallel=max(2, math.ceil(_AHEAD * registration.capacity / registration.max_batch)),
        )

    def workers(self) -> Sequence[Worker]:
        """Return the one worker."""
        name = self._registration.name
        return [
            Worker(
                service=name,
                topic=label_topic(name),
                handle=self.handle,
                group=f"labelbus.{name}",
                concurrency=_AHEAD * self._registration.capacity,
                timeout_s=self._registration.timeout_s + _AROUND_S,
            )
        ]

    async def start(self, carrier: Carrier) -> None:
        """Load the labeler, then report it. Raises `SettingsError`, `Unavailable`."""
        await self._labeler.open()
        for text in self.announcements:
            _log.info(text)
        await self._heartbeat.start()

    @property
    def announcements(self) -> tuple[str, ...]:
        """Return what the open labeler has to say."""
        return (self._labeler.announcement,) if isinstance(self._labeler, Announcing) else ()

    async def stop(self) -> None:
        """Let running batches end, for a while, free the labeler, and withdraw the report."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._registration.linger_s):
                await self._batcher.close()
        await self._paid.close()
        await self._labeler.close()
        await self._heartbeat.stop()

    async def handle(self, message: Message) -> Sequence[Message]:
        """Answer one `LabelSample` with `SampleLabeled`, `SampleFailed`, `SampleSkipped` or `VideoFound`.

        Raises `InvalidMessage`, `Unavailable`, and whatever the labeler does not classify.
        """
        if not isinstance(message, LabelSample) or message.labeler != self._registration.name:
            raise InvalidMessage(
                f"{message.id} is not for {self._registration.name}. Check who publishes it."
            )
        if not await self._job_states.runs(message.job_id):
            return [replies.skipped(message)]
        base = message.base
        paid = self._paid.of(message.job_id)
        started = time.perf_counter()
        try:
            parameters = self._parameters(json.dumps(message.parameters, sort_keys=True))
            base = base or await self._reader.base(message)
            fps = frames_per_second(self._registration, parameters, base.sample.kind)
            if fps is not None:
                return [replies.video_found(message, base, fps)]
            labeled = await self._batcher(self._task(message, base, parameters, paid))
        except (RetryLater, SampleRefused) as error:
            usage = _bought(paid).model_copy(update={"seconds": time.perf_counter() - started})
            return [replies.failed(message, error, base=base, usage=usage)]
        return [replies.labeled(message, base, labeled)]

    def _task(
        self, command: LabelSample, base: Base, parameters: LabelerParameters, paid: PaidCalls
    ) -> LabelTask:
        misfit = check_fits(self._registration, base.sample.labeling_method, base.sample.kind)
        if misfit is not None:
            raise SampleRefused(f"Sample {command.sample_id}: {misfit}", code="unfit")
        return LabelTask(
            job_id=command.job_id,
            project_id=command.project_id,
            sample_id=command.sample_id,
            base=base,
            draft=command.draft or base.labels,
            parameters=parameters,
            source=f"{command.labeler}#{command.step}",
            media=self._reader.media(command, base),
            paid=paid,
            studio=partial(self._access.client, command.project_id),
            own_studio=partial(self._access.client, command.project_id, command.secret),
            secret=partial(self._access.secret, command.project_id),
        )

    def _parse(self, parameters: str) -> LabelerParameters:
        """Parse parameters, once per distinct text. Wrong ones concern the whole job."""
        try:
            return validate_parameters(self._registration, json.loads(parameters))
        except WrongParameters as error:
            raise RetryLater(str(error), scope="job", code="parameters") from error

    async def _label(self, batch: Sequence[LabelTask]) -> Sequence[Labeled | Exception]:
        """Have a batch labeled; a labeler that does not measure itself gets its share of the time."""
        started = time.perf_counter()
        outcomes = await self._labeler.label(batch)
        if len(outcomes) != len(batch):
            raise RuntimeError(
                f"{self._registration.name} answered {len(outcomes)} of {len(batch)} tasks. Mend the labeler."
            )
        share_s = (time.perf_counter() - started) / len(batch)
        return [_measured(outcome, share_s) for outcome in outcomes]


def _measured(outcome: Labeled | Exception, seconds: float) -> Labeled | Exception:
    if isinstance(outcome, Exception) or outcome.usage.seconds > 0:
        return outcome
    return replace(outcome, usage=outcome.usage.model_copy(update={"seconds": seconds}))


def _bought(paid: PaidCalls) -> Usage:
    """Return what a failed sample's answers took all the same."""
    return paid.bought if isinstance(paid, Metered) else Usage()
