"""`labelbus ledger|tokens|secrets`: what is kept."""

import os
import sys
from typing import Annotated

import typer
from labelbus_runtime import loop

ledger_app = typer.Typer(no_args_is_help=True, help="The ledger's tables.")
tokens_app = typer.Typer(no_args_is_help=True, help="Tokens of the HTTP API.")
secrets_app = typer.Typer(no_args_is_help=True, help="API keys for a cluster, sealed in the ledger.")


@ledger_app.command("upgrade")
def upgrade() -> None:
    """Bring the ledger's tables to this version. Needed for PostgreSQL; SQLite does it itself."""
    from labelbus_ledger.engine import SCHEMA_VERSION, LedgerSettings
    from labelbus_ledger.engine import upgrade as bring_up
    from labelbus_ledger.settings import shown

    settings = LedgerSettings()
    loop.run(bring_up(settings))
    typer.echo(f"The ledger {shown(settings.url)} has schema {SCHEMA_VERSION}.")


@ledger_app.command("where")
def where() -> None:
    """Print where the ledger is."""
    from labelbus_ledger.settings import LedgerSettings, shown

    typer.echo(shown(LedgerSettings().url))


@ledger_app.command("forget-answers")
def forget_answers(
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Since they were given: 90d, 12h, 1d12h.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
) -> None:
    """Forget answers of paid models that were given long ago.

    An equal question is asked, and paid for, again afterwards. Jobs may run meanwhile.
    """
    from labelbus_cli.errors import BadInput
    from labelbus_cli.progress import seconds_of
    from labelbus_cli.session import opened_ledger

    seconds = seconds_of(older_than)
    if seconds is None:
        raise BadInput(f"--older-than {older_than} is no time. Write one such as 90d, 12h or 1d12h.")

    async def work() -> str:
        from labelbus_ledger import answers

        async with opened_ledger() as ledger:
            old, whole = await answers.count_answers(ledger, older_than_s=seconds)
            if dry_run:
                return f"{old:,} of {whole:,} answers are older than {older_than}. Nothing was forgotten."
            done = await answers.forget_answers(ledger, older_than_s=seconds)
            return f"Forgot {done:,} answers older than {older_than}; {whole - done:,} are kept."

    typer.echo(loop.run(work()))


@tokens_app.command("create")
def create_token(name: Annotated[str, typer.Argument(metavar="NAME", help="Who will use it.")]) -> None:
    """Print a new token. It cannot be shown again."""
    from labelbus_cli.session import opened_ledger

    async def work() -> str:
        from labelbus_ledger.tokens import Tokens

        async with opened_ledger() as ledger:
            return (await Tokens(ledger).create(name)).get_secret_value()

    typer.echo(loop.run(work()))


@tokens_app.command("revoke")
def revoke_token(name: Annotated[str, typer.Argument(metavar="NAME", help="As it was created.")]) -> None:
    """Forget every token of a name."""
    from labelbus_cli.errors import BadInput
    from labelbus_cli.session import opened_ledger

    async def work() -> int:
        from labelbus_ledger.tokens import Tokens

        async with opened_ledger() as ledger:
            return await Tokens(ledger).revoke(name)

    number = loop.run(work())
    if not number:
        raise BadInput(f"There is no token of the name '{name}'.")
    typer.echo(f"Revoked {number}.")


@secrets_app.command("key")
def key() -> None:
    """Print a fresh key for LABELBUS_SECRET_KEYS."""
    from labelbus_ledger.secrets import new_key

    typer.echo(new_key().get_secret_value())


@secrets_app.command("put")
def put_secret(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name it is found by, without 'ledger:'.")],
    project: Annotated[int, typer.Option("--project", help="The project that it is for.")],
    env: Annotated[str, typer.Option("--env", help="Read it from this variable instead of stdin.")] = "",
) -> None:
    """Seal an API key in the ledger, by LABELBUS_URL in the cluster's.

    It is read from stdin or a variable, never from an argument.
    """
    from labelbus_cli.cluster_address import address, is_given
    from labelbus_cli.cluster_api import ClusterApi
    from labelbus_cli.errors import BadInput
    from labelbus_cli.session import opened_ledger

    secret = os.environ.get(env, "").strip() if env else _from_stdin()
    if not secret:
        source = f"The environment variable {env} is not set." if env else "Nothing came from stdin."
        raise BadInput(f"{source} Give the API key there.")

    async def work() -> str:
        from labelbus_contracts.ids import ProjectId
        from labelbus_ledger.secrets import SecretStore
        from labelbus_ledger.settings import LedgerSettings
        from pydantic import SecretStr

        if is_given():
            async with ClusterApi(address()) as api:
                return await api.put_secret(ProjectId(project), name, SecretStr(secret))
        async with opened_ledger() as ledger:
            store = SecretStore(ledger, allow_env=False, keys=LedgerSettings().secret_keys)
            return await store.put(name, ProjectId(project), SecretStr(secret))

    typer.echo(f"Stored. Its name is {loop.run(work())}.")


def _from_stdin() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("API key", hide_input=True)).strip()
    return sys.stdin.readline().strip()
