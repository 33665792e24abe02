"""The committer as a process on Kafka: `faststream run labelbus_committer.app:app`."""

from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.instances import Heartbeat, kafka_carrier_id
from labelbus_ledger.job_states import JobStates
from labelbus_ledger.secrets import SecretStore
from labelbus_runtime.kafka import AsgiApp, KafkaCarrier, app_for
from labelbus_runtime.logging import configure_logging
from labelbus_runtime.settings import KafkaSettings, RuntimeSettings, load
from labelbus_studio.client import StudioClients
from labelbus_studio.settings import StudioSettings

from labelbus_committer.service import SERVICE, Committer
from labelbus_committer.settings import CommitterSettings


def kafka_app() -> AsgiApp:
    """Return the ASGI app. Nothing is connected before it starts. Raises `SettingsError`."""
    runtime, kafka, ledger_settings = load(RuntimeSettings), load(KafkaSettings), load(LedgerSettings)
    settings = load(CommitterSettings)
    configure_logging(runtime)
    carrier = KafkaCarrier(kafka, source=SERVICE)
    ledger = Ledger.at(ledger_settings)
    clients = StudioClients(load(StudioSettings))
    secrets = SecretStore(ledger, allow_env=False, keys=ledger_settings.secret_keys)
    job_states = JobStates(ledger)
    committer = Committer(
        ledger, access=StudioAccess(clients, secrets), job_states=job_states, settings=settings
    )
    carrier_id = kafka_carrier_id(kafka.bootstrap_servers, kafka.topic_prefix)
    heartbeat = Heartbeat(ledger, carrier_id, SERVICE, runtime.instance, settings.concurrency)

    async def start() -> None:
        await committer.start(carrier)

    return app_for(
        carrier,
        committer.workers(),
        title="Labelbus committer",
        before=[ledger.prepare, job_states.start, heartbeat.start, start],
        after=[committer.stop, heartbeat.stop, job_states.stop, clients.aclose, ledger.close],
    )


app = kafka_app()
