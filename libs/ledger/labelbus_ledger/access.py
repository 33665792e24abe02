"""Studio for a project and a secret's name, and what Studio's faults mean to the runtime."""

from labelbus_contracts.ids import ProjectId, SampleId, SecretName
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio.client import StudioClient, StudioClients
from labelbus_studio.errors import KeyRefused, SampleNotFound, StudioError, StudioRefused, StudioUnavailable
from pydantic import SecretStr

from labelbus_ledger.errors import SecretUnavailable
from labelbus_ledger.secrets import SecretStore


class StudioAccess:
    """Opens a secret and hands out the client that holds it; the secret goes nowhere else."""

    def __init__(self, clients: StudioClients, secrets: SecretStore) -> None:
        self._clients = clients
        self._secrets = secrets

    async def client(self, project_id: ProjectId, secret_name: SecretName) -> StudioClient:
        """Return the client of a project's key.

        Raises `RetryLater` for the whole job where the secret cannot be had, and `Unavailable`.
        """
        return self._clients.get(await self.secret(project_id, secret_name))

    async def secret(self, project_id: ProjectId, secret_name: SecretName) -> SecretStr:
        """Return a secret itself, for programs that are handed it. Raises as `client` does."""
        try:
            return await self._secrets.resolve(secret_name, project_id)
        except SecretUnavailable as error:
            raise RetryLater(str(error), scope="job", code="key") from error


def as_runtime_error(
    error: StudioError, *, project_id: ProjectId, sample_id: SampleId | None = None
) -> RetryLater | SampleRefused:
    """Return what a fault of Studio means: wait, stop the job, or refuse the sample."""
    match error:
        case SampleNotFound():
            subject = "The sample" if sample_id is None else f"Sample {sample_id}"
            return SampleRefused(
                f"{subject} is gone from project {project_id}. Remove it from the job.", code="gone"
            )
        case KeyRefused():
            return RetryLater(str(error), scope="job", code="key")
        case StudioRefused() if 300 <= error.status < 400:
            return RetryLater(str(error), scope="job", code="endpoint")
        case StudioRefused():
            return SampleRefused(str(error), code="studio_refused")
        case StudioUnavailable():
            return RetryLater(str(error), after_s=error.retry_after_s, code="studio_unavailable")
        case _:
            return RetryLater(str(error), code="studio_confused")
