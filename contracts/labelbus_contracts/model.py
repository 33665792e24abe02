"""The base of every value on the wire."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that never changes and ignores fields it does not know, so that newer writers can be read."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")
