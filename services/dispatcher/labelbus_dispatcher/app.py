"""The dispatcher as a process on Kafka, HTTP API included: `faststream run labelbus_dispatcher.app:app`."""

from labelbus_contracts.topics import label_topic
from labelbus_labeling.registry import installed
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.instances import Heartbeat, kafka_carrier_id
from labelbus_ledger.secrets import SecretStore
from labelbus_runtime.kafka import AsgiApp, KafkaCarrier, app_for
from labelbus_runtime.logging import configure_logging
from labelbus_runtime.settings import KafkaSettings, RuntimeSettings, load
from labelbus_studio.client import StudioClients
from labelbus_studio.settings import StudioSettings

from labelbus_dispatcher.api import create_api
from labelbus_dispatcher.service import SERVICE, Dispatcher
from labelbus_dispatcher.settings import DispatcherSettings
from labelbus_dispatcher.studio import StudioReader


def kafka_app() -> AsgiApp:
    """Return the ASGI app. Nothing is connected before it starts. Raises `SettingsError`."""
    runtime, kafka, ledger_settings = load(RuntimeSettings), load(KafkaSettings), load(LedgerSettings)
    settings = load(DispatcherSettings)
    configure_logging(runtime)
    labelers = installed()
    carrier = KafkaCarrier(kafka, source=SERVICE, topics=map(label_topic, labelers))
    ledger = Ledger.at(ledger_settings)
    clients = StudioClients(load(StudioSettings))
    carrier_id = kafka_carrier_id(kafka.bootstrap_servers, kafka.topic_prefix)
    heartbeat = Heartbeat(ledger, carrier_id, SERVICE, runtime.instance, settings.batch)
    secrets = SecretStore(ledger, allow_env=False, keys=ledger_settings.secret_keys)
    access = StudioAccess(clients, secrets)
    dispatcher = Dispatcher(
        ledger,
        carrier_id=carrier_id,
        reader=StudioReader(access),
        labelers=labelers,
        settings=settings,
        instance=runtime.instance,
    )

    api = create_api(
        ledger,
        carrier.publish,
        token=settings.api_token,
        carrier_id=carrier_id,
        keeper_s=settings.keeper_s,
        secrets=secrets,
        access=access,
    )

    async def start() -> None:
        await dispatcher.start(carrier)

    return app_for(
        carrier,
        dispatcher.workers(),
        title="Labelbus dispatcher",
        before=[ledger.prepare, heartbeat.start, start],
        after=[dispatcher.stop, heartbeat.stop, clients.aclose, ledger.close],
        mounts={"/v1/": api},
    )


app = kafka_app()
