"""Switches for what is not known of the real Studio, each with the value held likeliest as its default."""

from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class SimulatorOptions(BaseSettings):
    """How this Studio behaves where the real one is unverified. Environment: `LABELBUS_SIMULATOR_*`."""

    model_config = SettingsConfigDict(
        env_prefix="LABELBUS_SIMULATOR_",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
        env_ignore_empty=True,
    )

    seed: int = 0
    """Decides faults and random orders."""
    wrong_key_status: Literal[200, 401] = 200
    """HTTP status of the success:false answer to a wrong key."""
    classify_boxes: Literal["ratio", "pixel"] = "ratio"
    """Unit of the boxes that classify/image answers."""
    metadata_post: Literal["merge", "replace"] = "merge"
    """Whether POST metadata adds to what is there or replaces it."""
    propose_validates: bool = True
    """Whether propose-changes refuses bad boxes and labels at once, or takes them unseen."""
    proposal_step: Literal["job", "first"] = "job"
    """Step given to a proposal: the job's current one, or always 0."""
    proposals_after_job_end: bool = True
    """Whether a finished job still takes proposals."""
    unknown_job: Literal["refuse", "accept"] = "refuse"
    """What propose-changes does with a job id that no AI-actions job has."""
    max_page_size: int | None = None
    """Largest `limit` that the list honours; a larger one is cut to it."""
    default_page_size: int | None = None
    """Page size of a list call without `limit`; None answers everything."""
    empty_labels_filter: Literal["none", "nothing", "unlabeled"] = "none"
    """What `labels=""` means on list: no filter, no sample at all, or the samples without a label."""
    boxes_outside: Literal["refuse", "clip", "store"] = "store"
    """What happens to a box that sticks out of the image."""
    key_dies_with_job: bool = True
    """Whether a key that was injected into a block is refused once its job has finished."""
    processing_media: Literal["refuse", "empty"] = "refuse"
    """What /image and /wav answer while a sample is processing: success:false or an empty body."""
    image_dimensions: Literal["upright", "stored"] = "upright"
    """Whether imageDimensions follow the EXIF orientation."""
    split_answers: Literal["job", "generic"] = "job"
    """Whether splitting a video answers a job id or is done at once."""
    split_polls: int = 1
    """Status reads after which a split job is finished."""
