"""Settings of engines: only from the mapping that is given, and never repeated where they are wrong."""

from typing import Annotated

import pytest
from labelbus_labeling.engine_settings import EngineSettings
from labelbus_runtime.errors import SettingsError
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict


class Settings(EngineSettings):
    """One setting by its prefix, one by a name of its own."""

    model_config = SettingsConfigDict(env_prefix="LABELBUS_NOSE_")
    whose = "The nose's"

    smells: Annotated[int, Field(ge=1)] = 3
    key: SecretStr | None = Field(default=None, validation_alias="NOSE_KEY")


def test_empty_is_absent() -> None:
    """Blank variables leave the default; names of neither kind are ignored; blanks around a value go."""
    given = {"LABELBUS_NOSE_SMELLS": " ", "NOSE_KEY": " k ", "SMELLS": "9", "LABELBUS_NOSE_KEY": "no"}
    settings = Settings.from_environment(given)
    assert settings.smells == 3
    assert settings.key is not None
    assert settings.key.get_secret_value() == "k"
    assert Settings.from_environment({"LABELBUS_NOSE_SMELLS": "5"}).smells == 5


def test_nothing_is_read_behind_the_callers_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's own environment does not count."""
    monkeypatch.setenv("LABELBUS_NOSE_SMELLS", "7")
    assert Settings.from_environment({}).smells == 3
    assert Settings().smells == 3


def test_a_wrong_value_is_named_and_not_repeated() -> None:
    """The error has the variable and what is wrong with it; a value may be a secret in the wrong place."""
    with pytest.raises(
        SettingsError, match=r"The nose's settings are wrong\. LABELBUS_NOSE_SMELLS:"
    ) as caught:
        Settings.from_environment({"LABELBUS_NOSE_SMELLS": "sk-secret"})
    assert "sk-secret" not in str(caught.value)
    assert Settings.variable("key") == "NOSE_KEY"


@pytest.mark.parametrize("key", ["k…", "k\x00k", "k\nk"])
def test_a_key_that_no_header_can_carry_is_told_unshown(key: str) -> None:
    """Before any sample is labeled, not as a fault of the first call."""
    with pytest.raises(SettingsError, match="NOSE_KEY has a character that no key has") as fault:
        Settings.from_environment({"NOSE_KEY": key})
    assert key not in str(fault.value)
