"""One process that does everything: what it leaves behind."""

from pathlib import Path

import sqlalchemy as sa
from labelbus_cli.embedded import Embedded
from labelbus_committer.settings import CommitterSettings
from labelbus_contracts.topics import JOBS
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.secrets import SecretStore
from labelbus_ledger.tables import dead_letters
from labelbus_runtime.codec import Record
from labelbus_runtime.testing import run_until
from labelbus_studio.client import StudioClients
from labelbus_studio.settings import StudioSettings


async def test_dead_letters_outlive_the_process(tmp_path: Path) -> None:
    """What nobody could handle is in the ledger when the process has ended, as it came."""
    ledger = await Ledger.open(LedgerSettings(home=tmp_path, database_url=None))
    clients = StudioClients(StudioSettings())
    access = StudioAccess(clients, SecretStore(ledger, allow_env=True, keys=None))
    process = Embedded(ledger, access, known={}, opened=(), committer=CommitterSettings())
    await process.start()
    async with process:
        process.carrier.publish_record(Record(JOBS.name, b"{"))
        await run_until(lambda: not process.carrier.unfinished)
    async with ledger.read() as connection:
        row = (await connection.execute(sa.select(dead_letters))).one()
    assert (row.topic, row.body) == (JOBS.name, b"{")
    await clients.aclose()
    await ledger.close()
