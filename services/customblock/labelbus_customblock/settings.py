"""What the operator of a process says about custom blocks. Only the registration reads it."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Final, Self

from labelbus_runtime.errors import SettingsError
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

ANY_COMMAND: Final = "*"
COMMANDS_VARIABLE: Final = "LABELBUS_CUSTOM_BLOCK_COMMANDS"
_PREFIX: Final = "LABELBUS_CUSTOM_BLOCK_"
_STEERING: Final = re.compile(
    r"(LD_|DYLD_|PYTHON|NODE_|NPM_|PERL|RUBY|JAVA|_JAVA|JDK_|GIT_|BASH|DOCKER_|VIRTUAL_ENV|XDG_).*"
    r"|.*PATH|HOME|ENV|IFS|SHELLOPTS|TMPDIR",
    re.IGNORECASE,
)
"""Variables by which loaders, shells and interpreters find what they run."""


class CustomBlockSettings(BaseSettings):
    """Which commands may run, and how many at a time. `labelbus run` and `run-block` allow any command:
    who runs an action on his own machine chose it. A worker of a cluster runs what its operator lists.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, extra="forbid")

    commands: str = Field(
        default="",
        description="Commands that a cluster's worker may run, one per line or separated by `;`: an action's "
        "command must begin with the words of one. `*` allows any.",
    )
    processes: Annotated[int, Field(ge=1, le=64)] = Field(
        default=2, description="Blocks that run at a time in one process."
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read a mapping like `os.environ`; empty variables count as absent. Raises `SettingsError`."""
        named = {name: environ.get(f"{_PREFIX}{name}".upper(), "").strip() for name in cls.model_fields}
        try:
            settings = cls.model_validate({name: text for name, text in named.items() if text})
            settings.allowed()
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            name = f"{_PREFIX}{detail['loc'][0]}".upper()
            raise SettingsError(f"{name} is wrong: {detail['msg']}. Correct or remove it.") from None
        except ValueError as error:
            raise SettingsError(f"{COMMANDS_VARIABLE} cannot be read: {error}. Close its quotes.") from None
        return settings

    def allowed(self) -> tuple[tuple[str, ...], ...]:
        """Return the words that commands must begin with; an empty entry allows any."""
        lines = [line.strip() for line in self.commands.replace(";", "\n").splitlines()]
        return tuple(() if line == ANY_COMMAND else tuple(shlex.split(line)) for line in lines if line)

    def steering(self, names: Iterable[str]) -> str | None:
        """Return a variable that says what a listed command loads; None where any command may run."""
        found = sorted(name for name in names if _STEERING.fullmatch(name))
        return found[0] if found and () not in self.allowed() else None

    def allows(self, command: Sequence[str]) -> bool:
        """Tell whether a command may be run here."""
        return any(tuple(command[: len(words)]) == words for words in self.allowed())
