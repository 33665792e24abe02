"""What the dispatcher is told by its environment. Times are in seconds, as the names say."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from labelbus_dispatcher.decide import Limits


class DispatcherSettings(BaseSettings):
    """Attempts, waits and windows. Each field is read from `LABELBUS_DISPATCHER_<NAME>`."""

    model_config = SettingsConfigDict(
        env_prefix="LABELBUS_DISPATCHER_",
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )

    attempts: int = Field(default=5, ge=1, description="Attempts of one step, the first included.")
    backoff_first_s: float = Field(
        default=2.0, gt=0, description="Wait before the second attempt; it doubles."
    )
    backoff_most_s: float = Field(default=300.0, gt=0, description="The longest such wait.")
    deadline_s: float = Field(default=900.0, gt=0, description="In flight for longer: sent again.")
    processing_s: float = Field(
        default=1800.0,
        gt=0,
        description="How long to wait for Studio's processing, and for a model elsewhere that is loaded.",
    )
    window_least: int = Field(default=16, ge=1, description="In flight per labeler, at least.")
    window_times: float = Field(default=2.0, gt=0, description="In flight per unit of reported capacity.")
    writes_window: int = Field(default=512, ge=1, description="No new labeling while so many writes wait.")
    refill_s: float = Field(default=0.25, gt=0, description="A refill comes at latest so long after another.")
    watch_s: float = Field(
        default=1.0, gt=0, description="How often deadlines and ends of jobs are looked for."
    )
    lease_s: float = Field(default=15.0, gt=0, description="Another dispatcher takes over after so long.")
    finish_again_s: float = Field(default=30.0, gt=0, description="An unanswered FinishJob is sent again.")
    read_bases: bool = Field(default=True, description="Read samples by pages before they are sent.")
    read_bases_s: float = Field(default=5.0, gt=0, description="Samples are sent without their base after.")
    batch: int = Field(default=256, ge=1, description="Events that share one transaction, at most.")
    keeper_s: float = Field(
        default=30.0, gt=0, description="A block that is silent for longer is gone: its job pauses."
    )
    adopt: bool = Field(default=False, description="Take over jobs of embedded processes that are gone.")
    api_token: SecretStr | None = Field(
        default=None,
        validation_alias="LABELBUS_API_TOKEN",
        description="A token of the HTTP API beside those in the ledger.",
    )

    @property
    def limits(self) -> Limits:
        """Return what decisions need."""
        return Limits(
            attempts=self.attempts,
            backoff_first_s=self.backoff_first_s,
            backoff_most_s=self.backoff_most_s,
            deadline_s=self.deadline_s,
            processing_s=self.processing_s,
        )
