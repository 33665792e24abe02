"""Whose limits a call counts against, and what settings say of them.

`LABELBUS_RATE_OPENAI_RPM=500`, `LABELBUS_RATE_OPENAI_TPM=60000` hold for each model of a provider: OPENAI,
AZURE, HUGGINGFACE, or a host with `_` for what is neither letter nor digit (`LOCALHOST_8000`);
`LABELBUS_RATES={"gpt-6-luna": {"rpm": 500, "tpm": 60000}}` for one model. Without them limits are learned
from the headers of answers. `LABELBUS_RATE_WAIT_S` is how long a call may wait in place for its turn.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from labelbus_ledger.rates import Limits
from labelbus_ledger.spending import Bucket
from labelbus_runtime.errors import SettingsError

MODELS_SETTING: Final = "LABELBUS_RATES"
WAIT_SETTING: Final = "LABELBUS_RATE_WAIT_S"
_KEYS: Final = {"HUGGINGFACE": ("HF_API_KEY", "HF_TOKEN"), "AZURE": ("AZURE_OPENAI_API_KEY",)}
_OPENAI_HOST: Final = "api.openai.com"
_AZURE_HOSTS: Final = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")
_NAME = re.compile(r"LABELBUS_RATE_(?P<provider>[A-Z0-9_]+)_(?P<unit>RPM|TPM)")


@dataclass(frozen=True, slots=True)
class RateSettings:
    """Limits per minute (requests, tokens) by model and by provider, and fingerprints of keys."""

    models: Mapping[str, Limits] = field(default_factory=dict)
    providers: Mapping[str, Limits] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    most_wait_s: float = 20.0

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the environment. Raises `SettingsError`."""
        return cls(
            models=_models(environ.get(MODELS_SETTING, "").strip()),
            providers=_providers(environ),
            keys={name: _fingerprint(value) for name, value in environ.items() if _is_key(name) and value},
            most_wait_s=_number(WAIT_SETTING, environ.get(WAIT_SETTING, "").strip() or "20"),
        )

    def limits(self, provider: str, model: str) -> Limits:
        """Return what settings say of a model; the model's own limits come before its provider's."""
        general = self.providers.get(_called(provider), Limits())
        own = self.models.get(model)
        return general if own is None else own.or_else(general.requests_per_min, general.tokens_per_min)

    def bucket(self, provider: str, model: str) -> Bucket:
        """Return whose limits a call counts against. The key is a fingerprint, from which none follows."""
        called = _called(provider)
        names = (f"{called}_API_KEY", *_KEYS.get(called, ()), "OPENAI_API_KEY")
        key = next((self.keys[name] for name in names if name in self.keys), "")
        return Bucket(provider, model, key)


def _called(provider: str) -> str:
    """Return the provider as settings call it: OPENAI, AZURE, HUGGINGFACE, or its host (`LOCALHOST_8000`)."""
    if provider == _OPENAI_HOST:
        return "OPENAI"
    if provider.endswith(_AZURE_HOSTS):
        return "AZURE"
    return re.sub(r"[^A-Z0-9]", "_", provider.upper())


def _is_key(name: str) -> bool:
    return name.endswith("_API_KEY") or name == "HF_TOKEN"


def _fingerprint(key: str) -> str:
    return hashlib.sha256(b"labelbus rate limit\0" + key.encode()).hexdigest()[:16]


def _providers(environ: Mapping[str, str]) -> dict[str, Limits]:
    found: dict[str, dict[str, float]] = {}
    for name, text in environ.items():
        if text.strip() and (match := _NAME.fullmatch(name)) is not None:
            found.setdefault(match["provider"], {})[match["unit"].lower()] = _number(name, text)
    return {provider: _limits(values) for provider, values in found.items()}


def _models(text: str) -> dict[str, Limits]:
    if not text:
        return {}
    try:
        document = json.loads(text)
        return {
            str(model): _limits({unit: _number(MODELS_SETTING, str(one)) for unit, one in values.items()})
            for model, values in document.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingsError(
            f"{MODELS_SETTING} is wrong: {error}. Write JSON such as "
            '{"my-model": {"rpm": 500, "tpm": 60000}}.'
        ) from error


def _limits(values: Mapping[str, float]) -> Limits:
    if unknown := set(values) - {"rpm", "tpm"}:
        raise ValueError(f"there is no limit {sorted(unknown)[0]!r}, only rpm and tpm")
    return Limits(requests_per_min=values.get("rpm"), tokens_per_min=values.get("tpm"))


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not (number > 0 and math.isfinite(number)):
        raise SettingsError(f"{name} is wrong: '{text}' is no number above 0. Give one, or unset it.")
    return number
