"""How the committer behaves; read by `app.py` and the command line only."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class CommitterSettings(BaseSettings):
    """Settings of the committer. Environment: `LABELBUS_*`.

    A base younger than `conflict_check_after_s` counts as what Studio holds now; 0 reads every sample again
    before it is written. `attempt_s` bounds the calls of one attempt and must end well before the claim does.
    """

    model_config = SettingsConfigDict(
        env_prefix="LABELBUS_", frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )

    conflict_check_after_s: float = Field(
        default=0.0,
        ge=0,
        description="A sample whose base was read less than so long ago is not read again before it is "
        "written. 5 in a block.",
    )
    claim_s: float = Field(default=60.0, gt=0, description="How long a claim keeps other committers off.")
    attempt_s: float = Field(
        default=40.0, gt=0, description="Calls of one attempt; at most 0.8 of LABELBUS_CLAIM_S."
    )
    sweep_s: float = Field(default=15.0, gt=0, description="How often lapsed claims are looked for.")
    concurrency: int = Field(
        default=256, ge=1, validation_alias="LABELBUS_COMMITTER_CONCURRENCY", description="Samples at a time."
    )
    batch_size: int = Field(
        default=128,
        ge=1,
        le=500,
        validation_alias="LABELBUS_COMMITTER_BATCH_SIZE",
        description="Rows in one transaction, at most.",
    )
    batch_wait_s: float = Field(
        default=0.003,
        ge=0,
        validation_alias="LABELBUS_COMMITTER_BATCH_WAIT_S",
        description="How long a transaction waits for more rows.",
    )
    split_poll_s: float = Field(
        default=1.0, gt=0, description="How often Studio's job that splits a video is looked at."
    )
    split_wait_s: float = Field(
        default=7200.0, gt=0, description="How long such a job may take before the video fails."
    )
    split_doubt_s: float = Field(
        default=60.0,
        ge=0,
        description="How long a split whose answer was lost may take to show, before it is asked for again.",
    )
    finish_poll_s: float = Field(
        default=1.0, gt=0, description="How often the end of a job looks for writes under way."
    )
    finish_wait_s: float = Field(default=300.0, gt=0, description="How long it waits for them.")

    @model_validator(mode="after")
    def _attempt_ends_before_its_claim(self) -> Self:
        if self.attempt_s > self.claim_s * 0.8:
            raise ValueError(
                f"an attempt of {self.attempt_s} s must end well before its claim of {self.claim_s} s does; "
                "lower LABELBUS_ATTEMPT_S or raise LABELBUS_CLAIM_S"
            )
        return self
