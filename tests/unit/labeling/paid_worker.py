"""A process that asks a provider on a local port for as long as it may, through the ledger.

    python paid_worker.py URL PORT NAME CONCURRENCY COST_USD RPM TPM

Run by `test_paid_processes.py`. Ends with code 0 once the job's budget is used up.
"""

import asyncio
import itertools
import sys
from collections.abc import Iterator
from functools import partial

from labelbus_contracts.ids import JobId
from labelbus_contracts.v1.events import Usage
from labelbus_labeling.paid import Answer, Estimate
from labelbus_labeling.paid.metered import Register
from labelbus_labeling.paid.rate_settings import RateSettings
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.rates import Limits
from labelbus_runtime.errors import RetryLater
from pydantic import SecretStr

TOKENS = 100


async def call(port: int, digest: str, cost_usd: float) -> Answer:
    """Ask once; a 429 says how long to wait."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{digest}\n".encode())
    code, wait_s = (await reader.readline()).decode().split()
    writer.close()
    if code == "429":
        raise RetryLater("Too many requests.", after_s=float(wait_s), code="rate")
    return Answer("cat", Usage(input_tokens=TOKENS // 2, cost_usd=cost_usd), "luna")


async def work(register: Register, port: int, cost_usd: float, digests: Iterator[str]) -> None:
    """Ask one question after another until the money is gone."""
    paid = register.of(JobId("job"))
    for digest in digests:
        try:
            await paid.ask(
                provider="openai",
                model="luna",
                digest=digest,
                worst=Estimate(TOKENS, 0, 2 * cost_usd),
                call=partial(call, port, digest, cost_usd),
            )
        except RetryLater as error:
            if error.code == "budget":
                return


async def main(url: str, port: int, name: str, concurrency: int, cost_usd: float, limits: Limits) -> None:
    """Work on several questions at a time."""
    ledger = await Ledger.open(LedgerSettings(database_url=SecretStr(url)))
    register = Register(ledger, RateSettings(providers={"OPENAI": limits}, most_wait_s=1.0))
    digests = (f"{name}:{number}" for number in itertools.count())
    await asyncio.gather(*(work(register, port, cost_usd, digests) for _ in range(concurrency)))
    await register.close()
    await ledger.close()


if __name__ == "__main__":
    _, url, port, name, concurrency, cost_usd, rpm, tpm = sys.argv
    limits = Limits(float(rpm) or None, float(tpm) or None)
    asyncio.run(main(url, int(port), name, int(concurrency), float(cost_usd), limits))
