"""A broker that asks who is there: TLS by an authority of its own, SASL with and without it."""

import asyncio
import datetime
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from labelbus_contracts.ids import JobId, MessageId
from labelbus_contracts.topics import JOBS
from labelbus_contracts.v1.commands import PauseJob
from labelbus_contracts.v1.message import Message
from labelbus_runtime.errors import Unavailable
from labelbus_runtime.kafka import KafkaCarrier
from labelbus_runtime.settings import KafkaSettings
from labelbus_runtime.worker import Worker
from pydantic import SecretStr

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]
USER, PASSWORD = "labelbus", "open sesame"
LOGIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'


@dataclass(frozen=True, slots=True)
class SecureBroker:
    """One broker with a listener of each kind."""

    ports: dict[str, int]
    authority: Path

    def settings(self, listener: str, **given: Any) -> KafkaSettings:
        """Return settings for one of its listeners."""
        return KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{self.ports[listener]}",
            ca_file=self.authority,
            commit_interval_s=0.05,
            **given,
        )


@pytest.fixture(scope="module")
def broker(
    real_kafka: Any, local_kafka: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecureBroker]:
    """Start a broker of its own: the session's is open to everybody."""
    folder = tmp_path_factory.mktemp("secure-kafka")
    authority = _certify(folder)
    ports = {name: local_kafka.free_port() for name in ("SSL", "SASL_PLAINTEXT", "SASL_SSL")}
    properties = _properties(ports, folder, local_kafka.free_port())
    kafka = local_kafka.LocalKafka(folder / "broker", ports["SSL"], properties)
    kafka.start()
    yield SecureBroker(ports, authority)
    kafka.remove()


@pytest.fixture(autouse=True)
async def farewells() -> AsyncIterator[None]:
    """Let no connection outlive its loop: aiokafka does not await TLS's farewell of one that was refused."""
    yield
    connections = asyncio.get_running_loop()._selector.get_map()  # type: ignore[attr-defined]
    async with asyncio.timeout(30):
        while len(connections) > 1:  # noqa: ASYNC110 - the loop's own wake-up stays
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("listener", "given"),
    [
        ("SSL", {"security": "ssl"}),
        ("SASL_PLAINTEXT", {"security": "sasl_plain", "tls": False}),
        ("SASL_SSL", {"security": "sasl_plain"}),
    ],
)
async def test_messages_travel_over_each_kind_of_listener(
    broker: SecureBroker, listener: str, given: dict[str, Any]
) -> None:
    """Topics are created, a message is published, delivered and acknowledged."""
    login = {"username": USER, "password": SecretStr(PASSWORD)} if listener.startswith("SASL") else {}
    carrier = KafkaCarrier(
        broker.settings(listener, **given, **login, topic_prefix=f"{listener}."), source="test"
    )
    came: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def take(message: Message) -> Sequence[Message]:
        came.set_result(message)
        return ()

    carrier.mount(Worker("test", JOBS, take, group="test"))
    await carrier.start()
    await carrier.publish([PauseJob(id=MessageId("pause_job:1"), job_id=JobId("1"))])
    async with asyncio.timeout(30):
        assert (await came).kind == "pause_job"
    await carrier.stop()


async def test_a_wrong_password_is_said(broker: SecureBroker) -> None:
    """Nothing is tried for ever: the error names what to look at, and not the password."""
    given = {"username": USER, "password": SecretStr("wrong words"), "security": "sasl_plain"}
    carrier = KafkaCarrier(broker.settings("SASL_SSL", connect_timeout_s=1.0, **given), source="test")
    with pytest.raises(Unavailable, match="LABELBUS_KAFKA_PASSWORD") as refused:
        await carrier.start()
    assert "wrong words" not in str(refused.value)


def _properties(ports: dict[str, int], folder: Path, controller_port: int) -> dict[str, str]:
    """Return the broker's settings; it speaks to itself over TLS."""
    listeners = [f"{name}://127.0.0.1:{port}" for name, port in ports.items()]
    kinds = ["CONTROLLER:PLAINTEXT", *(f"{name}:{name}" for name in ports)]
    store = {"type": "PEM", "location": str(folder / "broker.pem")}
    logins = {
        f"listener.name.{name.lower()}.plain.sasl.jaas.config": LOGIN for name in ports if "SASL" in name
    }
    return {
        "listeners": ",".join([*listeners, f"CONTROLLER://127.0.0.1:{controller_port}"]),
        "advertised.listeners": ",".join(listeners),
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listener.security.protocol.map": ",".join(kinds),
        "inter.broker.listener.name": "SSL",
        "sasl.enabled.mechanisms": "PLAIN",
        **{f"ssl.keystore.{name}": value for name, value in store.items()},
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(folder / "authority.pem"),
        **logins,
    }


def _certify(folder: Path) -> Path:
    """Write an authority, and a broker's key and certificate by it; return the authority's file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), _name("Labelbus test authority")
    authority = _certificate(name, name, key.public_key(), key, x509.BasicConstraints(True, None))
    own = ec.generate_private_key(ec.SECP256R1())
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = _certificate(_name("broker"), name, own.public_key(), key, address)
    private = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "broker.pem").write_bytes(private + _pem(certificate) + _pem(authority))
    (folder / "authority.pem").write_bytes(_pem(authority))
    return folder / "authority.pem"


def _certificate(
    subject: x509.Name, issuer: x509.Name, public: Any, signer: Any, extension: Any
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
    builder = builder.serial_number(x509.random_serial_number()).add_extension(extension, critical=True)
    builder = builder.not_valid_before(now - datetime.timedelta(days=1))
    builder = builder.not_valid_after(now + datetime.timedelta(days=1))
    return builder.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
