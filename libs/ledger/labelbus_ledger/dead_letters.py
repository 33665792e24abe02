"""Dead letters in the ledger, for the carrier that has no topic for them."""

import json
import logging

from labelbus_runtime.dead_letters import DeadLetter

from labelbus_ledger.engine import Ledger
from labelbus_ledger.tables import dead_letters

log = logging.getLogger(__name__)


class LedgerDeadLetters:
    """Fills the runtime's `DeadLetterSink`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def store(self, letter: DeadLetter) -> None:
        """Store one letter and log it. Raises `Unavailable`."""
        async with self._ledger.write() as connection:
            await connection.execute(
                self._ledger.insert(dead_letters).values(
                    topic=letter.record.topic,
                    reason=letter.reason,
                    headers=json.dumps(dict(letter.headers())),
                    body=letter.record.value,
                    died_at=letter.at.timestamp(),
                )
            )
        log.error("dead letter of %s: %s", letter.record.topic, letter.reason)
