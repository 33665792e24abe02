"""The audio labeler's settings. Only the registration reads them."""

from typing import Annotated, Final, Literal

from labelbus_labeling.devices import Device, Precision
from labelbus_labeling.engine_settings import EngineSettings
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

EngineName = Literal["auto", "endpoint", "local", "router"]
DEFAULT_MODEL: Final = "MIT/ast-finetuned-audioset-10-10-0.4593"
PRICE_SETTING: Final = "LABELBUS_AUDIO_PRICE_PER_CALL_USD"


class AudioSettings(EngineSettings):
    """Each field is LABELBUS_AUDIO_<NAME>, or its alias. Read by `from_environment`."""

    model_config = SettingsConfigDict(env_prefix="LABELBUS_AUDIO_")
    whose = "The audio labeler's"

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
