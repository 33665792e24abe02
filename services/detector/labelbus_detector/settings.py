"""The detector's settings. Only `app.py`, the registration and the server read them."""

from ipaddress import ip_address
from typing import Annotated

from labelbus_labeling.devices import Device, Precision
from labelbus_labeling.engine_settings import EngineSettings
from labelbus_labeling.images import MAX_PIXELS
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from labelbus_detector.models import DEFAULT_MODEL


class DetectorSettings(EngineSettings):
    """Each field is LABELBUS_DETECTOR_<NAME> unless its alias says otherwise. Read by `from_environment`."""

    model_config = SettingsConfigDict(env_prefix="LABELBUS_DETECTOR_")
    whose = "The detector's"

    model: str = Field(default=DEFAULT_MODEL, description="A hub id, a local folder, or `toy`.")
    device: Device = Field(default="auto", description="`auto` takes CUDA, then Apple's, then the CPU.")
    dtype: Precision = Field(
        default="auto", description="`auto` computes the image tower in half precision on CUDA."
    )
    pad_value: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Grey with which OWLv2 fills a picture to a square."
    )
    max_batch: Annotated[int, Field(ge=1, le=256)] | None = Field(
        default=None, description="Images in one batch, at most. Empty: by model and device."
    )
    decode_threads: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="Threads that decode pictures."
    )
    max_pixels: Annotated[int, Field(ge=1, le=178_000_000)] = Field(
        default=MAX_PIXELS, description="A larger picture fails."
    )

    beam_endpoint: str | None = Field(
        default=None,
        validation_alias="BEAM_ENDPOINT",
        description="A detector elsewhere; the model here is not loaded then.",
    )
    beam_access_key: SecretStr | None = Field(
        default=None, validation_alias="BEAM_ACCESS_KEY", description="Its bearer token."
    )
    remote_concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=32, description="Calls at a time. The official endpoint starts another GPU from 30."
    )
    remote_first_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=600.0, description="For the first answer of a cold endpoint."
    )
    remote_timeout_s: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="For every other answer."
    )

    serve_token: SecretStr | None = Field(
        default=None,
        validation_alias="LABELBUS_SERVE_TOKEN",
        description="What clients of `labelbus serve detector` must send. Needed beyond loopback.",
    )
    serve_host: str = Field(default="127.0.0.1", description="Where `labelbus serve detector` listens.")
    serve_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=8080, description="Its port; 0 takes a free one."
    )
    serve_max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        default=32 * 1024 * 1024, description="A larger request is refused."
    )
    serve_max_waiting: Annotated[int, Field(ge=1)] = Field(
        default=256, description="More requests than this are told to come back."
    )

    @property
    def is_loopback(self) -> bool:
        """Tell whether the server is reached from this machine only."""
        if self.serve_host == "localhost":
            return True
        try:
            return ip_address(self.serve_host).is_loopback
        except ValueError:
            return False
