"""Settings of every process, as Compose hands them over."""

import pytest
from labelbus_committer.settings import CommitterSettings
from labelbus_detector.settings import DetectorSettings
from labelbus_dispatcher.settings import DispatcherSettings
from labelbus_labeling.settings import LabelingSettings
from labelbus_ledger.settings import LedgerSettings
from labelbus_runtime.settings import KafkaSettings, RuntimeSettings, load
from labelbus_simulator.options import SimulatorOptions
from labelbus_studio.settings import StudioSettings
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

READ = (
    CommitterSettings, DispatcherSettings, KafkaSettings, LabelingSettings, LedgerSettings, RuntimeSettings,
    SimulatorOptions, StudioSettings,
)  # fmt: skip


def variables(settings: type[BaseSettings]) -> list[str]:
    """Return the names of a class's variables."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    names = []
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        first = alias.choices[0] if isinstance(alias, AliasChoices) else alias
        names.append(str(first or prefix + name.upper()))
    return names


@pytest.mark.parametrize("settings", READ, ids=lambda settings: settings.__name__)
def test_an_empty_variable_is_unset(settings: type[BaseSettings], monkeypatch: pytest.MonkeyPatch) -> None:
    """`NAME=` in an environment file means the default, whatever the type."""
    for name in variables(settings):
        monkeypatch.delenv(name, raising=False)
    default = load(settings)
    for name in variables(settings):
        monkeypatch.setenv(name, "")
    assert load(settings) == default


def test_an_empty_variable_is_unset_for_the_detector_too() -> None:
    """It reads a mapping of its own."""
    empty = dict.fromkeys(variables(DetectorSettings), "")
    assert DetectorSettings.from_environment(empty) == DetectorSettings.from_environment({})
