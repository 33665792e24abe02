"""A labeler as a process on Kafka: all the wiring that its `app.py` needs."""

import os
from collections.abc import Mapping

from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.instances import kafka_carrier_id
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.secrets import SecretStore
from labelbus_runtime.kafka import AsgiApp, KafkaCarrier, app_for
from labelbus_runtime.logging import configure_logging
from labelbus_runtime.settings import KafkaSettings, RuntimeSettings, load
from labelbus_studio.client import StudioClients
from labelbus_studio.settings import StudioSettings

from labelbus_labeling.labeler import Registration
from labelbus_labeling.paid.rate_settings import RateSettings
from labelbus_labeling.service import LabelerService
from labelbus_labeling.settings import LabelingSettings


def kafka_app(registration: Registration, environ: Mapping[str, str] = os.environ) -> AsgiApp:
    """Return the ASGI app of a labeler. Nothing is connected or loaded before it starts.

    Raises `SettingsError`.
    """
    runtime, kafka, ledger_settings = load(RuntimeSettings), load(KafkaSettings), load(LedgerSettings)
    configure_logging(runtime)
    carrier = KafkaCarrier(kafka, source=registration.name)
    ledger = Ledger.at(ledger_settings)
    clients = StudioClients(load(StudioSettings))
    job_states = JobStates(ledger)
    service = LabelerService(
        registration,
        registration.make(environ),
        access=StudioAccess(clients, SecretStore(ledger, allow_env=False, keys=ledger_settings.secret_keys)),
        job_states=job_states,
        ledger=ledger,
        carrier_id=kafka_carrier_id(kafka.bootstrap_servers, kafka.topic_prefix),
        instance=runtime.instance,
        cache=load(LabelingSettings).blob_cache(),
        rates=RateSettings.of(environ),
    )

    async def start() -> None:
        await service.start(carrier)

    return app_for(
        carrier,
        service.workers(),
        title=registration.title,
        before=[ledger.prepare, job_states.start, start],
        after=[service.stop, job_states.stop, clients.aclose, ledger.close],
    )
