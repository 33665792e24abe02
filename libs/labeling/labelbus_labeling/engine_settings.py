"""Settings of a labeler's engine: read from a given mapping, and wrong ones told without what they hold."""

from collections.abc import Mapping
from typing import ClassVar, Self, get_args

from labelbus_runtime.errors import SettingsError
from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class EngineSettings(BaseSettings):
    """Each field is the variable that its alias names, else the prefix and its own name in capitals.

    `whose` says whose settings they are: `The detector's`.
    """

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, protected_namespaces=()
    )
    whose: ClassVar[str]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read a mapping like `os.environ`; empty variables count as absent. Raises `SettingsError`.

        A key that no header can carry, such as one that was copied with its "…", is told here.
        """
        given = {name: environ.get(cls.variable(name), "").strip() for name in cls.model_fields}
        for name, field in cls.model_fields.items():
            is_secret = SecretStr in (field.annotation, *get_args(field.annotation))
            if is_secret and not (given[name].isascii() and given[name].isprintable()):
                variable = cls.variable(name)
                raise SettingsError(f"{variable} has a character that no key has. Copy the key again.")
        try:
            return cls.model_validate({name: text for name, text in given.items() if text})
        except ValidationError as error:
            raise SettingsError(cls._explained(error)) from None

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the environment variable of a field."""
        alias = cls.model_fields[field].validation_alias if field in cls.model_fields else field
        return str(alias) if alias else f"{cls.model_config.get('env_prefix', '')}{field}".upper()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read no process-wide state behind the caller's back."""
        return (init_settings,)

    @classmethod
    def _explained(cls, error: ValidationError) -> str:
        """Say which variables are wrong, never what they hold: some are secrets."""
        faults = error.errors(include_input=False, include_url=False)
        said = "; ".join(f"{cls.variable(str(fault['loc'][0]))}: {fault['msg']}" for fault in faults)
        return f"{cls.whose} settings are wrong. {said}"
