"""The dispatcher's own part: selecting, refilling and two events per sample, on SQLite in one process.

    python -m benchmarks.dispatch.dispatcher_alone --samples 10000

Labelers and committer are functions that answer at once. Prints samples per second and CPU milliseconds per
sample of the whole process, the embedded carrier included.
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from labelbus_contracts.jobs import Selection
from labelbus_contracts.v1.message import Message
from labelbus_dispatcher.settings import DispatcherSettings
from labelbus_dispatcher.testing import make_world
from labelbus_ledger.engine import Ledger
from labelbus_ledger.settings import LedgerSettings


class Forgetful(list[Message]):
    """Keeps nothing, so that memory tells of the dispatcher alone."""

    def append(self, _: Message) -> None:
        """Forget."""


async def measure(count: int, window: int, folder: Path) -> None:
    """Run one job to its end and print what it took."""
    ledger = await Ledger.open(LedgerSettings(home=folder))
    world = make_world(ledger, DispatcherSettings(window_least=window))
    world.seen = Forgetful()
    world.reader.ids, world.reader.page_size = range(1, count + 1), 1000
    await world.carrier.start()
    await world.dispatcher.start(world.carrier)
    cpu, started = time.process_time(), time.perf_counter()
    await world.submit(selection=Selection())
    standing = await world.ended()
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    print(f"{standing.counts}: {count / elapsed:.0f} samples/s, {1000 * cpu / count:.2f} ms CPU per sample")
    await world.dispatcher.stop()
    await world.carrier.stop()
    await ledger.close()


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--window", type=int, default=512, help="samples in flight per labeler")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(given.samples, given.window, Path(folder)))


if __name__ == "__main__":
    main()
