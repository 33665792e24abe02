"""Secrets by name: `env:NAME` in one process, `ledger:name` sealed with Fernet and bound to a project."""

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from labelbus_contracts.ids import ProjectId, SecretName
from labelbus_runtime.errors import SettingsError
from pydantic import SecretStr

from labelbus_ledger.engine import Ledger
from labelbus_ledger.errors import SecretUnavailable
from labelbus_ledger.tables import secrets

_KEPT_S: Final = 5.0  # a replaced secret is seen after this


def new_key() -> SecretStr:
    """Return a fresh key for `LABELBUS_SECRET_KEYS`."""
    return SecretStr(Fernet.generate_key().decode())


class SecretStore:
    """Seals secrets with the first of the keys, opens with any. `allow_env` is for one process only."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        allow_env: bool,
        keys: SecretStr | None,
        environ: Mapping[str, str] = os.environ,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._allow_env = allow_env
        self._environ = environ
        self._clock = clock
        self._fernet = _fernet(keys)
        self._opened: dict[tuple[str, int], tuple[float, SecretStr]] = {}

    @property
    def can_seal(self) -> bool:
        """Tell whether there is a key to seal secrets with."""
        return self._fernet is not None

    async def resolve(self, name: SecretName, project_id: ProjectId) -> SecretStr:
        """Return the secret of a name. Raises `SecretUnavailable`, `Unavailable`."""
        kind, _, rest = name.partition(":")
        if kind == "env" and rest:
            return self._from_environment(rest)
        if kind == "ledger" and rest:
            return await self._from_ledger(rest, project_id)
        raise SecretUnavailable(f"{_safe(name)} names no secret. Write env:NAME or ledger:name.")

    async def put(self, name: str, project_id: ProjectId, secret: SecretStr) -> SecretName:
        """Seal a secret for one project, in place of an older one; return the name that resolves to it.

        Takes `name` or `ledger:name`. Raises `SecretUnavailable` without keys, `Unavailable`.
        """
        bare = name.removeprefix("ledger:")
        content = {"project_id": project_id, "name": bare, "secret": secret.get_secret_value()}
        sealed = self._cipher().encrypt(json.dumps(content).encode())
        async with self._ledger.write() as connection:
            insert = self._ledger.insert(secrets).values(
                name=bare, project_id=project_id, sealed=sealed, created_at=time.time()
            )
            await connection.execute(
                insert.on_conflict_do_update(
                    index_elements=["name", "project_id"],
                    set_={"sealed": insert.excluded.sealed, "created_at": insert.excluded.created_at},
                )
            )
        self._opened.pop((bare, project_id), None)
        return SecretName(f"ledger:{bare}")

    async def remove(self, name: str, project_id: ProjectId) -> bool:
        """Forget a secret; tell whether there was one."""
        bare = name.removeprefix("ledger:")
        self._opened.pop((bare, project_id), None)
        async with self._ledger.write() as connection:
            result = await connection.execute(
                sa.delete(secrets).where(secrets.c.name == bare, secrets.c.project_id == project_id)
            )
        return result.rowcount == 1

    def _from_environment(self, variable: str) -> SecretStr:
        if not self._allow_env:
            raise SecretUnavailable(
                f"The secret env:{_safe(variable)} is known to one process only. "
                "Store it with `labelbus secrets put` and name it ledger:name."
            )
        value = self._environ.get(variable, "").strip()
        if not value:
            raise SecretUnavailable(
                f"The environment variable {_safe(variable)} is not set. Set it to the project's API key."
            )
        return SecretStr(value)

    async def _from_ledger(self, name: str, project_id: ProjectId) -> SecretStr:
        kept = self._opened.get((name, project_id))
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        async with self._ledger.read() as connection:
            sealed: bytes | None = await connection.scalar(
                sa.select(secrets.c.sealed).where(secrets.c.name == name, secrets.c.project_id == project_id)
            )
        if sealed is None:
            raise SecretUnavailable(
                f"The ledger has no secret {_safe(name)!r} for project {project_id}. "
                "Store it with `labelbus secrets put`."
            )
        secret = self._unseal(sealed, name, project_id)
        now = self._clock()
        self._opened = {key: kept for key, kept in self._opened.items() if kept[0] > now}
        self._opened[name, project_id] = (now + _KEPT_S, secret)
        return secret

    def _unseal(self, sealed: bytes, name: str, project_id: ProjectId) -> SecretStr:
        try:
            content = json.loads(self._cipher().decrypt(sealed))
        except InvalidToken:
            raise SecretUnavailable(
                f"The secret {_safe(name)!r} of project {project_id} was sealed with another key. "
                "Add that key to LABELBUS_SECRET_KEYS, or store the secret again."
            ) from None
        if (content["project_id"], content["name"]) != (project_id, name):
            raise SecretUnavailable(
                f"The secret {_safe(name)!r} of project {project_id} belongs to another one. Store it again."
            )
        return SecretStr(content["secret"])

    def _cipher(self) -> MultiFernet:
        if self._fernet is None:
            raise SecretUnavailable(
                "LABELBUS_SECRET_KEYS is not set, so the ledger's secrets cannot be sealed or opened. "
                "Make a key with `labelbus secrets key` and give it to every process."
            )
        return self._fernet


def _fernet(keys: SecretStr | None) -> MultiFernet | None:
    texts = [text.strip() for text in (keys.get_secret_value() if keys else "").split(",")]
    given = [text for text in texts if text]
    if not given:
        return None
    try:
        return MultiFernet([Fernet(text) for text in given])
    except ValueError:
        raise SettingsError(
            "LABELBUS_SECRET_KEYS holds something that is not a Fernet key. "
            "Make one with `labelbus secrets key`; separate several by commas."
        ) from None


def _safe(name: str) -> str:
    """Return a name as people may see it: someone may have written the secret in its place."""
    return name if len(name) <= 48 and not name.startswith("ei_") else f"{name[:6]}…"
