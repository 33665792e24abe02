"""Every form against the interface of Edge Impulse's AI labeling blocks, and the official blocks' own.

The interface is written down here as its command line tool declares it; nothing of ours is used.
"""

import json
import re
from typing import Annotated, Any, Literal

import pytest
from labelbus_cli.block_form import form
from labelbus_labeling.registry import installed
from pydantic import BaseModel, ConfigDict, Field, model_validator

Type = Literal[
    "string", "int", "float", "select", "boolean", "flag", "secret", "bucket", "dataset", "project"
]
Official = tuple[tuple[str, str, str | None], ...]
"""Name, type and first value of a parameter; None where the facts name no value."""

_QUALITY: Official = (("image-quality", "select", "auto"),)
_SIZES: Official = (
    ("ignore-objects-smaller-than", "float", "0"),
    ("ignore-objects-larger-than", "float", "100"),
)
_NMS: Official = (("nms", "flag", "true"), ("nms-iou-threshold", "float", "0.2"))
_KEY: Official = (("OPENAI_API_KEY", "secret", None),)
OFFICIAL: dict[str, Official] = {
    "owl-vit": (
        ("prompt", "string", "A person (person, 0.2)"),
        ("delete_existing_bounding_boxes", "select", "no"),
        *_SIZES,
        *_NMS,
    ),
    "audio": (
        ("HF_API_KEY", "secret", None),
        ("audioset-labels", "string", "speech\nmusic"),
        ("other-label", "string", "other"),
        ("win-size-ms", "int", "2000"),
        ("win-stride-ms", "int", "2000"),
        ("min-confidence", "float", "0.2"),
    ),
    "pretrained": (
        ("source-project-api-key", "project", None),
        ("source-project-impulse-id", "int", None),
        ("delete-existing-bounding-boxes", "flag", "true"),
        ("keep-bounding-boxes", "string", None),
    ),
    "images": (
        *_KEY,
        ("prompt", "string", None),
        ("disable-labels", "string", "unsure"),
        *_QUALITY,
        ("concurrency", "int", "10"),
        ("auto-convert-videos", "boolean", "false"),
        ("extract-frames-per-second", "int", "10"),
    ),
    "relabel": (
        *_KEY,
        ("which-labels", "string", "animal"),
        ("prompt", "string", None),
        ("disable-labels", "string", "remove"),
        *_QUALITY,
        ("concurrency", "int", "10"),
    ),
    "validate": (
        *_KEY,
        ("validation-prompt", "string", None),
        *_QUALITY,
        ("concurrency", "int", "10"),
    ),
    "detect-llm": (
        *_KEY,
        ("prompt", "string", None),
        ("reasoning-effort", "select", "medium"),
        ("delete_existing_bounding_boxes", "select", "yes"),
        *_SIZES,
        *_NMS,
    ),
}


TITLES = {
    "owl-vit": "Prompt; Delete existing bounding boxes; Ignore objects smaller than (%); "
    "Ignore objects larger than (%); Non-max suppression; NMS IoU threshold",
    "audio": "Hugging Face API Key; Labels of interest; Other label; Window size (ms); Window stride (ms); "
    "Minimum confidence threshold",
    "pretrained": "Source project; Impulse ID; Delete existing bounding boxes?; "
    "Only keep bounding boxes with label",
    "images": "OpenAI API Key; Prompt; Disable samples w/ label; Image quality; Concurrency; "
    "Auto-convert videos; Extract no. of frames per second",
    "relabel": "OpenAI API Key; Which bounding boxes to re-label?; Prompt; Remove bounding boxes w/ label; "
    "Image quality; Concurrency",
    "validate": "OpenAI API Key; Validation prompt; Image quality; Concurrency",
}
"""What the official forms call their parameters, where they can be read."""


class Strict(BaseModel):
    """Refuses what the interface does not know."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Choice(Strict):
    """One value of a select."""

    label: str
    value: str


class ShowIf(Strict):
    """When an item is shown."""

    parameter: str
    operator: Literal["eq", "neq"]
    value: str


class Item(Strict):
    """One row of the form. Studio keeps every value of an action as text."""

    name: Annotated[str, Field(min_length=1)]
    value: str = ""
    type: Type
    help: Annotated[str, Field(min_length=1)]
    param: Annotated[str, Field(pattern=r"^\S+$")]
    valid: list[Choice] | None = None
    optional: bool = False
    show_if: ShowIf | None = Field(default=None, alias="showIf")
    section: Literal["advanced", "modelProfiling"] | None = None
    multiline: bool = False
    hint: str | None = None
    placeholder: str | None = None

    @model_validator(mode="after")
    def _value_suits(self) -> "Item":
        numbers = {"int": r"-?\d+", "float": r"-?\d+(\.\d+)?", "boolean": "true|false", "flag": "true|false"}
        if self.value and self.type in numbers and not re.fullmatch(numbers[self.type], self.value):
            raise ValueError(f"{self.value!r} is no {self.type}")
        if (self.type == "select") != (self.valid is not None):
            raise ValueError("a select, and nothing else, has valid values")
        if self.valid is not None and self.value not in {one.value for one in self.valid}:
            raise ValueError(f"{self.value!r} is none of the valid values")
        if self.type == "secret" and not re.fullmatch(r"[A-Z_]+", self.param):
            raise ValueError("a secret is an environment variable")
        return self


class Info(Strict):
    """What the block is."""

    name: Annotated[str, Field(min_length=2)]
    description: str
    required: list[str] = Field(alias="requiredEnvVariables")
    operates_on: list[Literal["images_object_detection", "images_single_label", "audio", "other"]] = Field(
        alias="operatesOn"
    )


class Form(Strict):
    """The file parameters.json."""

    version: Literal[1]
    type: Literal["ai-action"]
    info: Info
    parameters: list[Item]


def read(name: str) -> Form:
    """Return the form of a labeler, checked."""
    return Form.model_validate(json.loads(form(installed()[name])))


@pytest.mark.parametrize("name", sorted(installed()))
def test_the_interface_accepts_every_form(name: str) -> None:
    """Types, values and conditions are such as Studio knows; no environment variable is asked for on push."""
    found = read(name)
    names = [item.param for item in found.parameters]
    assert len(set(names)) == len(names)
    assert {"data-ids-file", "propose-actions"}.isdisjoint(names)
    assert found.info.required == []
    assert found.info.operates_on
    shown = [item.show_if.parameter for item in found.parameters if item.show_if]
    assert set(shown) <= set(names)


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_the_official_parameters_are_as_they_were(name: str) -> None:
    """Order, names, types and first values are the official block's; ours are optional or have a value."""
    items = read(name).parameters
    official = OFFICIAL[name]
    by_name: dict[str, Any] = {item.param: item for item in items}
    names = [param for param, _, _ in official]
    assert [item.param for item in items if item.param in names] == names
    for param, kind, value in official:
        assert by_name[param].type == kind, param
        assert value is None or by_name[param].value == value, param
    ours = [item for item in items if item.param not in names]
    assert all(item.optional or item.value for item in ours)


@pytest.mark.parametrize("name", sorted(TITLES))
def test_the_official_parameters_are_called_as_they_were(name: str) -> None:
    """Official ones first: who changes blocks finds the same form, with ours below."""
    titles = TITLES[name].split("; ")
    assert [item.name for item in read(name).parameters][: len(titles)] == titles


@pytest.mark.parametrize(
    "change",
    [
        {"type": "text"},
        {"type": "int", "value": "many"},
        {"type": "select"},
        {"value": True},
        {"param": "a b"},
        {"showIf": {"parameter": "x", "operator": "is", "value": "1"}},
        {"default": 1},
    ],
)
def test_the_check_refuses_what_studio_would(change: dict[str, object]) -> None:
    """It is no check that lets everything through."""
    item = {"name": "A", "value": "1", "type": "string", "help": "b", "param": "c", **change}
    with pytest.raises(ValueError, match="validation error"):
        Item.model_validate(item)
