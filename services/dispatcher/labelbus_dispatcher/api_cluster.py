"""The HTTP API's routes about the cluster itself: what it is able to do, keys, stored actions."""

from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Path, Query
from labelbus_contracts.ids import ProjectId
from labelbus_contracts.jobs import ActionSpec
from labelbus_ledger import actions
from labelbus_ledger.engine import Ledger
from labelbus_ledger.instances import capacities
from labelbus_ledger.secrets import SecretStore

from labelbus_dispatcher import problems
from labelbus_dispatcher.api_models import ClusterFacts, NewSecret, StoredSecret

Name = Annotated[str, Path(pattern="^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$")]
_SERVICES = frozenset({"dispatcher", "committer"})


def router(ledger: Ledger, *, carrier_id: str, secrets: SecretStore) -> APIRouter:
    """Return the routes."""
    made = APIRouter(prefix="/v1")

    @made.get("/cluster", tags=["cluster"])
    async def cluster() -> ClusterFacts:
        """Tell the version, the labelers that run now, and whether keys can be sealed."""
        async with ledger.read() as conn:
            running = await capacities(conn, carrier_id)
        labelers = {name: capacity for name, capacity in running.items() if name not in _SERVICES}
        return ClusterFacts(version=version("labelbus-dispatcher"), labelers=labelers, seals=secrets.can_seal)

    @made.put("/projects/{project_id}/secrets/{name}", tags=["secrets"])
    async def put_secret(project_id: ProjectId, name: Name, new: NewSecret) -> StoredSecret:
        """Seal a key for one project, in place of an older one of the name. It can never be read back."""
        return StoredSecret(name=await secrets.put(name, project_id, new.secret))

    @made.delete("/projects/{project_id}/secrets/{name}", status_code=204, tags=["secrets"])
    async def remove_secret(project_id: ProjectId, name: Name) -> None:
        """Forget a key."""
        await secrets.remove(name, project_id)

    @made.get("/actions/{name}", tags=["actions"])
    async def action(
        name: Annotated[str, Path(max_length=200)], revision: Annotated[int | None, Query()] = None
    ) -> ActionSpec:
        """Return a stored action, the newest revision unless one is named."""
        async with ledger.read() as conn:
            found = await actions.find(conn, name, revision)
        if found is None:
            raise problems.problem(
                404, f"There is no stored action '{name}'. `labelbus actions add` stores one."
            )
        return found.spec

    return made
