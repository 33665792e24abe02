"""Open what commands share: the ledger, Studio with the key of the environment, and logging."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TextIO, cast

from labelbus_contracts.ids import SecretName
from labelbus_labeling.cache import BlobCache
from labelbus_labeling.settings import LabelingSettings
from labelbus_ledger.access import StudioAccess
from labelbus_ledger.engine import Ledger, LedgerSettings
from labelbus_ledger.secrets import SecretStore
from labelbus_runtime.logging import configure_logging
from labelbus_runtime.settings import RuntimeSettings, load
from labelbus_studio.client import StudioClient, StudioClients
from labelbus_studio.errors import KeyRefused, StudioError
from labelbus_studio.project_calls import Project
from labelbus_studio.settings import StudioSettings
from pydantic import SecretStr

from labelbus_cli.errors import BadInput, CommandError

KEY_VARIABLE = "EI_PROJECT_API_KEY"
ENV_SECRET = SecretName(f"env:{KEY_VARIABLE}")


@dataclass(frozen=True, slots=True)
class Session:
    """An open ledger, Studio seen with the key of the environment, and the bytes of samples read so far."""

    ledger: Ledger
    clients: StudioClients
    access: StudioAccess
    client: StudioClient
    project: Project
    cache: BlobCache


@asynccontextmanager
async def opened_ledger() -> AsyncIterator[Ledger]:
    """Open the ledger that the environment names."""
    ledger = await Ledger.open(load(LedgerSettings))
    try:
        yield ledger
    finally:
        await ledger.close()


@asynccontextmanager
async def opened(*, studio: StudioSettings | None = None) -> AsyncIterator[Session]:
    """Open ledger and Studio; `studio` stands for the settings of the environment.

    Raises `BadInput` where the key is missing or refused.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise BadInput(missing(KEY_VARIABLE))
    async with opened_ledger() as ledger:
        clients = StudioClients(studio or load(StudioSettings))
        try:
            client = clients.get(SecretStr(key))
            project = await project_of(client)
            store = SecretStore(ledger, allow_env=True, keys=load(LedgerSettings).secret_keys)
            cache = load(LabelingSettings).blob_cache()
            yield Session(ledger, clients, StudioAccess(clients, store), client, project, cache)
        finally:
            await clients.aclose()


def missing(variable: str) -> str:
    """Return the sentence for a variable that is not set."""
    return (
        f"Missing {variable}. Set it in the environment or in .env to the project's API key "
        "(Studio: Dashboard, Keys)."
    )


def configure_logs(*, level: str | None = None) -> None:
    """Log to stderr: warnings as plain sentences, unless LABELBUS_LOG_LEVEL says more."""
    settings = load(RuntimeSettings)
    asked = level or os.environ.get("LABELBUS_LOG_LEVEL")
    given = {} if os.environ.get("LABELBUS_LOG_LEVEL") else {"log_level": level or "WARNING"}
    shape = {} if os.environ.get("LABELBUS_LOG_FORMAT") else {"log_format": "console" if asked else "plain"}
    configure_logging(settings.model_copy(update={**given, **shape}), cast(TextIO, _Stderr()))


class _Stderr:
    """Whatever stderr is at the moment: a live display replaces it for a while."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


async def project_of(client: StudioClient) -> Project:
    """Return the project of a client's key. Raises `BadInput` where it is refused, `CommandError`."""
    try:
        return await client.project()
    except KeyRefused as error:
        fact = str(error).removesuffix("Give the job a valid key.").strip()
        raise BadInput(
            f"{fact} Set {KEY_VARIABLE} to the project's API key (Studio: Dashboard, Keys)."
        ) from error
    except StudioError as error:
        advice = "" if "EI_API_ENDPOINT" in str(error) else " Check the network and EI_API_ENDPOINT."
        raise CommandError(f"{error}{advice} EI_API_ENDPOINT is {client.settings.endpoint}.") from error
