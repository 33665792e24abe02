"""Write what a job said of each sample as lines of JSON, for other programs."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TextIO

from labelbus_ledger.exports import lines

from labelbus_cli.cluster_address import address, is_given
from labelbus_cli.cluster_api import ClusterApi
from labelbus_cli.cluster_jobs import ClusterJobs
from labelbus_cli.job_source import job_named
from labelbus_cli.once import job_of
from labelbus_cli.session import opened_ledger


async def export(prefix: str, out: TextIO) -> int:
    """Write one line per proposed or committed sample of a job, by id; return how many."""
    count = 0
    async with aclosing(_lines(prefix)) as found:
        async for line in found:
            out.write(line + "\n")
            count += 1
    return count


async def _lines(prefix: str) -> AsyncGenerator[str, None]:
    if is_given():
        async with ClusterApi(address()) as api:
            job = await job_named(ClusterJobs(api), prefix)
            async for line in api.export(job.job_id):
                yield line
        return
    async with opened_ledger() as ledger:
        job = await job_of(ledger, prefix)
        async for line in lines(ledger, job):
            yield line
