"""The parameters of `audio`: the official block's, by its names, and two of our own.

`value` is what Edge Impulse's form shows at first, as in the official block.
"""

from typing import Annotated, Self

from labelbus_labeling.fields import Ratio, extra, unescaped
from labelbus_labeling.labeler import LabelerParameters
from pydantic import AfterValidator, Field, model_validator

from labelbus_audio.interest import parse_labels
from labelbus_audio.windows import OverlapRule


def _read(text: str) -> str:
    parse_labels(text)
    return unescaped(text).strip()


LabelList = Annotated[str, AfterValidator(_read)]
Milliseconds = Annotated[int, Field(ge=1, le=3_600_000)]
_SEPARATED = "Separate labels by a newline, valid label list: "
_LIST = "https://research.google.com/audioset/dataset/index.html"


class AudioParameters(LabelerParameters):
    """What to listen for, in windows of which size, and how sure to be."""

    audioset_labels: LabelList = Field(
        title="Labels of interest",
        description="Labels of AudioSet to label, one per line. A new name may follow in parentheses: "
        "'Female speech, woman speaking (speaking)'.",
        json_schema_extra=extra(
            "--audioset-labels",
            multiline=True,
            value="speech\nmusic",
            placeholder='List of labels from "AudioSet" dataset (separated by a newline) that should be '
            "labeled.",
            hint=_SEPARATED + _LIST,
        ),
    )
    other_label: str = Field(
        default="other",
        title="Other label",
        description="The label of windows in which no label of interest is heard.",
        json_schema_extra=extra("--other-label"),
    )
    win_size_ms: Milliseconds = Field(
        default=2000,
        title="Window size (ms)",
        description="Size of the window of each classification. The model hears the first 10.24 s of one.",
        json_schema_extra=extra("--win-size-ms", type="int"),
    )
    win_stride_ms: Milliseconds = Field(
        default=2000,
        title="Window stride (ms)",
        description="From the start of one window to the start of the next; at most the window's size.",
        json_schema_extra=extra("--win-stride-ms", type="int"),
    )
    min_confidence: Ratio = Field(
        default=0.2,
        title="Minimum confidence threshold",
        description="Labels that score less are not counted as heard.",
        json_schema_extra=extra("--min-confidence", type="float"),
    )
    overlap: OverlapRule = Field(
        default="last",
        title="Where windows overlap",
        description="Which window's label counts where windows overlap: the last one's, as in the official "
        "block, or the one with the highest score.",
        json_schema_extra=extra(
            "--overlap",
            section="advanced",
            valid=[
                {"label": "The last window's", "value": "last"},
                {"label": "The one with the highest score", "value": "max-score"},
            ],
        ),
    )
    write_metadata: bool = Field(
        default=True,
        title="Write metadata",
        description="Set the sample's metadata 'labeled_by' and 'ast_labels', as the official block does.",
        json_schema_extra=extra("--write-metadata", type="boolean", section="advanced"),
    )

    @model_validator(mode="after")
    def _stride_fits(self) -> Self:
        if self.win_stride_ms > self.win_size_ms:
            raise ValueError(
                f"the stride of {self.win_stride_ms} ms is greater than the window of {self.win_size_ms} ms, "
                "which leaves gaps. Lower the stride or enlarge the window"
            )
        return self
