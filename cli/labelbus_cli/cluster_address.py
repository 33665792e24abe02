"""Which cluster the environment names: `LABELBUS_URL` with `LABELBUS_TOKEN`, nothing else."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from labelbus_cli.errors import BadInput

URL_VARIABLE: Final = "LABELBUS_URL"
TOKEN_VARIABLE: Final = "LABELBUS_TOKEN"  # noqa: S105  # a name


@dataclass(frozen=True, slots=True)
class Address:
    """Where a cluster's API is, and the token that lets us in."""

    url: str
    token: SecretStr


def is_given(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether the environment names a cluster's API."""
    return bool((os.environ if environ is None else environ).get(URL_VARIABLE, "").strip())


def address(environ: Mapping[str, str] | None = None) -> Address:
    """Return what the environment names. Raises `BadInput`."""
    given = os.environ if environ is None else environ
    url, token = given.get(URL_VARIABLE, "").strip().rstrip("/"), given.get(TOKEN_VARIABLE, "").strip()
    if not url.startswith(("http://", "https://")):
        raise BadInput(f"{URL_VARIABLE} is {url!r}. Give the dispatcher's address, like https://host:8000.")
    if not token:
        raise BadInput(
            f"Missing {TOKEN_VARIABLE}. `labelbus tokens create NAME` makes one for {URL_VARIABLE}."
        )
    return Address(url, SecretStr(token))
