"""The parameters of `custom-block`: which program, what it is given, and how long it may take."""

import re
import shlex
from typing import Annotated, Final, Literal, Self

from labelbus_contracts.ids import SecretName
from labelbus_labeling.labeler import LabelerParameters, OperatesOn
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

MOST_SAMPLES: Final = 32
"""The most samples of one run: a batch of the labeler."""
OURS: Final = frozenset({"data-ids-file", "propose-actions"})
"""Arguments that every block gets from Labelbus."""
_SECRET: Final = re.compile(r"(env|ledger):\S{1,200}")
_SECRET_ARGUMENT: Final = re.compile(r"\{secret:(\w+)\}")
_OWN_VARIABLES: Final = re.compile(r"EI_|LABELBUS_")


def _words(value: object) -> object:
    """Split a text as a shell would, without one."""
    if not isinstance(value, str):
        return value
    try:
        words = tuple(shlex.split(value))
    except ValueError as error:
        raise ValueError(f"cannot be split into words ({error}). Close its quotes") from None
    if not words:
        raise ValueError("is empty. Name a program")
    return words


def _named(arguments: dict[str, "Value"]) -> dict[str, "Value"]:
    named = {name.removeprefix("--"): value for name, value in arguments.items()}
    for name in named:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            raise ValueError(f"{name!r} is no name of an argument")
        if name in OURS:
            raise ValueError(f"--{name} is given by Labelbus. Leave it out")
    return named


def secret_of(value: "Value") -> str | None:
    """Return the name of the secret that an argument stands for: `{secret:NAME}`."""
    match = _SECRET_ARGUMENT.fullmatch(value) if isinstance(value, str) else None
    return match[1] if match else None


def _variable(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(f"{name!r} is no name of an environment variable")
    if _OWN_VARIABLES.match(name):
        raise ValueError(f"{name} is not given by actions: Labelbus sets EI_… itself")
    return name


def _names_a_secret(text: str) -> str:
    if not _SECRET.fullmatch(text):
        raise ValueError("names no secret. Write env:NAME or ledger:name; never write the secret itself")
    return text


Value = bool | int | float | str
Word = Annotated[str, StringConstraints(min_length=1, pattern=r"^[^\x00]+$")]
Variable = Annotated[str, AfterValidator(_variable)]


class CustomBlockParameters(LabelerParameters):
    """A program of the block interface, and what it gets."""

    command: Annotated[tuple[Word, ...], Field(min_length=1), BeforeValidator(_words)] = Field(
        title="Command",
        description="The program with its first arguments, as a list, or as a text that is split like a "
        "shell's but run without one. {scratch} stands for the folder of the ids file.",
        examples=["python transform.py"],
    )
    arguments: Annotated[dict[str, Value], AfterValidator(_named)] = Field(
        default_factory=dict,
        title="Arguments",
        description="The block's own parameters, handed over as --name value. true gives the bare --name "
        "(a flag), false nothing; newlines become backslash-n, as from Studio. {secret:NAME} becomes that "
        "secret, for blocks that want a key there.",
    )
    environment: dict[Variable, str] = Field(
        default_factory=dict,
        title="Environment",
        description="Environment variables. Of this process's own the block gets PATH, HOME and the like.",
    )
    secrets: dict[Variable, Annotated[SecretName, AfterValidator(_names_a_secret)]] = Field(
        default_factory=dict,
        title="Secrets",
        description="Environment variables with secrets, by the secret's name: env:NAME or ledger:name.",
    )
    folder: str | None = Field(
        default=None, title="Folder", description="Where the command runs; this process's when absent."
    )
    operates_on: tuple[OperatesOn, ...] = Field(
        default=(),
        title="Operates on",
        description="What the block can work on: images_object_detection, images_single_label, audio, "
        "other. The rest fails unseen. Anything when absent.",
    )
    propose: bool = Field(
        default=True,
        title="Propose",
        description="Run the block with --propose-actions. Its writes are caught either way; false suits "
        "blocks that do not know this argument.",
    )
    ids_form: Literal["list", "object"] = Field(
        default="list",
        title="Form of the ids file",
        description='list is [1, 2], as the official blocks read it, object is {"ids": [1, 2]}.',
    )
    narrow_lists: bool = Field(
        default=False,
        title="Narrow lists",
        description="Lists of the project's samples show those of the run only. Much quicker for blocks that "
        "page through the project to find their samples.",
    )
    samples_per_run: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = Field(
        default=16, title="Samples per run", description="Samples that one run of the command gets, at most."
    )
    timeout_s: Annotated[float, Field(ge=1, le=600, allow_inf_nan=False)] = Field(
        default=300.0,
        title="Seconds per run",
        description="A run that takes longer is killed; its samples are tried one by one.",
    )

    @model_validator(mode="after")
    def _has_its_secrets(self) -> Self:
        for name, value in self.arguments.items():
            secret = secret_of(value)
            if secret is not None and secret not in self.secrets:
                raise ValueError(f"the argument {name!r} wants the secret {secret}. Name it under secrets")
        return self
