"""Secrets are opened by name only, by whoever has the key, for the project they belong to."""

import pytest
import sqlalchemy as sa
from labelbus_contracts.ids import ProjectId, SecretName
from labelbus_ledger.engine import Ledger
from labelbus_ledger.errors import SecretUnavailable
from labelbus_ledger.secrets import SecretStore, new_key
from labelbus_ledger.tables import secrets
from labelbus_ledger.tokens import Tokens
from labelbus_runtime.errors import SettingsError
from pydantic import SecretStr

_SEVEN = ProjectId(7)
_KEY = SecretStr("ei_hunter2hunter2")


def _store(ledger: Ledger, *keys: SecretStr, **environ: str) -> SecretStore:
    joined = SecretStr(",".join(key.get_secret_value() for key in keys))
    return SecretStore(ledger, allow_env=bool(environ), keys=joined, environ=environ)


async def test_sealed(ledger: Ledger) -> None:
    """A secret comes back by its name; its text is nowhere in the ledger."""
    key = new_key()
    name = await _store(ledger, key).put("studio", _SEVEN, _KEY)
    assert name == "ledger:studio"
    assert await _store(ledger, key).resolve(name, _SEVEN) == _KEY
    async with ledger.read() as connection:
        sealed = (await connection.execute(sa.select(secrets.c.sealed))).scalar_one()
    assert b"hunter2" not in sealed


async def test_replaced(ledger: Ledger) -> None:
    """Putting a secret again replaces it at once for whoever put it."""
    store = _store(ledger, new_key())
    name = await store.put("studio", _SEVEN, SecretStr("old"))
    assert (await store.resolve(name, _SEVEN)).get_secret_value() == "old"
    await store.put(name, _SEVEN, _KEY)
    assert await store.resolve(name, _SEVEN) == _KEY


async def test_opened_secrets_do_not_stay_in_memory(ledger: Ledger) -> None:
    """Blocks bring secrets of their own all day long: one that was opened is forgotten soon."""
    now, keys = 0.0, new_key()
    store = SecretStore(ledger, allow_env=False, keys=keys, clock=lambda: now)
    for number in range(3):
        await store.resolve(await store.put(f"studio-{number}", _SEVEN, _KEY), _SEVEN)
        now += 6.0
    assert list(store._opened) == [("studio-2", _SEVEN)]


async def test_rotated_keys(ledger: Ledger) -> None:
    """A new first key seals, older ones still open."""
    old, new = new_key(), new_key()
    name = await _store(ledger, old).put("studio", _SEVEN, _KEY)
    assert await _store(ledger, new, old).resolve(name, _SEVEN) == _KEY
    with pytest.raises(SecretUnavailable, match="sealed with another key"):
        await _store(ledger, new).resolve(name, _SEVEN)


async def test_bound_to_project(ledger: Ledger) -> None:
    """A sealed secret that was moved to another project's row is refused."""
    store = _store(ledger, new_key())
    name = await store.put("studio", _SEVEN, _KEY)
    async with ledger.write() as connection:
        await connection.execute(sa.update(secrets).values(project_id=8))
    with pytest.raises(SecretUnavailable, match="belongs to another one"):
        await store.resolve(name, ProjectId(8))


async def test_no_keys(ledger: Ledger) -> None:
    """Without keys nothing is sealed, and the error says how to make one."""
    with pytest.raises(SecretUnavailable, match="LABELBUS_SECRET_KEYS is not set"):
        await SecretStore(ledger, allow_env=False, keys=None).put("studio", _SEVEN, _KEY)
    with pytest.raises(SettingsError, match="not a Fernet key"):
        SecretStore(ledger, allow_env=False, keys=SecretStr("short"))


async def test_environment(ledger: Ledger) -> None:
    """`env:` names are for one process only, and must be set."""
    name = SecretName("env:EI_KEY")
    assert await _store(ledger, EI_KEY=" ei_1 ").resolve(name, _SEVEN) == SecretStr("ei_1")
    with pytest.raises(SecretUnavailable, match="EI_KEY is not set"):
        await _store(ledger, OTHER="x").resolve(name, _SEVEN)
    with pytest.raises(SecretUnavailable, match="one process only"):
        await _store(ledger).resolve(name, _SEVEN)


@pytest.mark.parametrize("name", ["ei_hunter2hunter2", "env:", "ledger:", "file:/etc/passwd"])
async def test_no_name(ledger: Ledger, name: str) -> None:
    """Something else in a name's place is refused, and not repeated where it looks like a key."""
    with pytest.raises(SecretUnavailable) as caught:
        await _store(ledger, EI_KEY="x").resolve(SecretName(name), _SEVEN)
    assert "hunter2" not in str(caught.value)


async def test_unknown_secret(ledger: Ledger) -> None:
    """A name that leads nowhere says which project it was wanted for."""
    with pytest.raises(SecretUnavailable, match=r"no secret 'studio' for project 7"):
        await _store(ledger, new_key()).resolve(SecretName("ledger:studio"), _SEVEN)


async def test_tokens(ledger: Ledger) -> None:
    """A token is known by its digest until it is revoked."""
    tokens = Tokens(ledger)
    token = await tokens.create("console")
    assert await tokens.check(token) == "console"
    assert await tokens.check(SecretStr("lb_guess")) is None
    assert await tokens.revoke("console") == 1
    assert await tokens.check(token) is None
