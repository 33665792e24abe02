"""The parameters of `pretrained`: the official block's, by its names, and one of our own.

`value` is what Edge Impulse's form shows at first, as in the official block.
"""

import re
from typing import Annotated, Final

from labelbus_contracts.ids import SecretName
from labelbus_labeling.fields import Ratio, blank_is_absent, extra, unescaped
from labelbus_labeling.labeler import LabelerParameters
from pydantic import AfterValidator, BeforeValidator, Field

from labelbus_classifier.keeping import parse_keep

_NAME: Final = re.compile(r"(env|ledger):\S{1,200}")


def _names_a_secret(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(
            "names no secret. Write env:NAME or ledger:name, where the source project's API key is found; "
            "never write the key itself"
        )
    return text


def _read(text: str) -> str:
    parse_keep(text)
    return unescaped(text)


Secret = Annotated[SecretName, AfterValidator(_names_a_secret)]
ImpulseId = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(blank_is_absent)]
KeepList = Annotated[Annotated[str, AfterValidator(_read)] | None, BeforeValidator(blank_is_absent)]


class PretrainedParameters(LabelerParameters):
    """Whose impulse labels, and what to do with its boxes and with those that are there already."""

    source_secret: Secret = Field(
        title="Source project",
        description="Project to use as a labeling source. In actions: the name of a secret, env:NAME or "
        "ledger:name, that holds its API key.",
        examples=["env:SOURCE_PROJECT_API_KEY"],
        json_schema_extra=extra("--source-project-api-key", type="project", secret=True, value=""),
    )
    source_project_impulse_id: ImpulseId = Field(
        default=None,
        title="Impulse ID",
        description="Which impulse of the source project labels; its first one when absent.",
        json_schema_extra=extra("--source-project-impulse-id", type="int", value=""),
    )
    delete_existing_bounding_boxes: bool = Field(
        default=False,
        title="Delete existing bounding boxes?",
        description="If any existing bounding boxes are present, remove them (only applies to object "
        "detection datasets).",
        json_schema_extra=extra("--delete-existing-bounding-boxes", type="flag", value=True),
    )
    keep_bounding_boxes: KeepList = Field(
        default=None,
        title="Only keep bounding boxes with label",
        description="If this field is filled, only bounding boxes with these labels are kept (only applies "
        "to object detection datasets). To remap add the new label in parentheses: 'bottle (beer)'.",
        json_schema_extra=extra(
            "--keep-bounding-boxes",
            type="string",
            value="",
            multiline=True,
            hint="Separate labels by a newline. To remap, add the remapped label in parenthesis, e.g. "
            "'bottle (beer)'.",
            placeholder="bottle (beer)\ncoffee",
        ),
    )
    min_confidence: Ratio = Field(
        default=0.0,
        title="Minimum confidence",
        description="Boxes and labels that score less are left out.",
        json_schema_extra=extra("--min-confidence", type="float", section="advanced"),
    )
