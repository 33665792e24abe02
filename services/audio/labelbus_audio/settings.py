"""The audio labeler's settings. Only the registration reads them."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from labelbus_runtime.errors import SettingsError
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

EngineName = Literal["auto", "endpoint", "local", "router"]
Device = Literal["auto", "cuda", "mps", "cpu"]
Precision = Literal["auto", "float32", "float16", "bfloat16"]
DEFAULT_MODEL: Final = "MIT/ast-finetuned-audioset-10-10-0.4593"
_PREFIX: Final = "LABELBUS_AUDIO_"
PRICE_SETTING: Final = "LABELBUS_AUDIO_PRICE_PER_CALL_USD"


class AudioSettings(BaseSettings):
    """Each field is LABELBUS_AUDIO_<NAME>, or its alias. Read by `from_environment`."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, frozen=True, extra="forbid", populate_by_name=True, protected_namespaces=()
    )

    engine: EngineName = Field(
        default="auto", description="What listens. `auto` takes the first that is configured or installed."
    )
    model: str = Field(default=DEFAULT_MODEL, description="A hub id or a local folder.")
    device: Device = Field(default="auto", description="`auto` takes CUDA, then Apple's, then the CPU.")
    dtype: Precision = Field(default="auto", description="`auto` computes in half precision on CUDA.")
    max_batch: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="Windows in one batch, at most. Empty: by device."
    )
    router: str = Field(
        default="https://router.huggingface.co/hf-inference/models", description="Hugging Face's router."
    )
    remote_concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=32, description="Windows asked elsewhere at a time."
    )
    remote_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="For the answer about one window."
    )
    price_per_call_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        default=None,
        description="What one call of the endpoint or router costs, for estimates and budgets: its price per "
        "second times the seconds of a window. Empty: unknown.",
    )
    hf_inference_endpoint: str | None = Field(
        default=None,
        validation_alias="HF_INFERENCE_ENDPOINT",
        description="Full address of a dedicated endpoint that classifies audio.",
    )
    hf_api_key: SecretStr | None = Field(
        default=None, validation_alias="HF_API_KEY", description="Its key, or the router's."
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read a mapping like `os.environ`; empty variables count as absent. Raises `SettingsError`."""
        named = {name: environ.get(_variable(name), "").strip() for name in cls.model_fields}
        try:
            return cls.model_validate({name: text for name, text in named.items() if text})
        except ValidationError as error:
            raise SettingsError(_explained(error)) from None

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


def _variable(field: str) -> str:
    info = AudioSettings.model_fields.get(field)
    alias = info.validation_alias if info else field
    return str(alias) if alias else _PREFIX + field.upper()


def _explained(error: ValidationError) -> str:
    """Say which variables are wrong, never what they hold: some are secrets."""
    faults = error.errors(include_input=False, include_url=False)
    said = "; ".join(f"{_variable(str(fault['loc'][0]))}: {fault['msg']}" for fault in faults)
    return f"The audio labeler's settings are wrong. {said}"
