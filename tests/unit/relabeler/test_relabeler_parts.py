"""Registrations, their processes on Kafka, and the pictures that models are shown."""

import io
from pathlib import Path

import labelbus_relabeler
import pytest
from labelbus_contracts.labels import SampleFacts
from labelbus_labeling.registry import installed
from labelbus_relabeler import app
from labelbus_relabeler.answers import object_of
from labelbus_relabeler.errors import Unusable
from labelbus_relabeler.pictures import Cropper
from labelbus_relabeler.settings import DEFAULT_MODEL, DETECTION_MODEL
from PIL import Image

from .conftest import box, scene

NAMES = {"relabel": "relabel", "images": "images", "validate": "validate", "detect-llm": "detect_llm"}


@pytest.mark.parametrize(("name", "attribute"), NAMES.items())
def test_every_labeler_is_installed_and_has_a_process(
    name: str, attribute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its modules do not take its registration's place, and nothing is connected before it starts."""
    monkeypatch.setenv("LABELBUS_HOME", str(tmp_path))
    installed()[name].make({"OPENAI_API_KEY": "k"})
    assert getattr(labelbus_relabeler, attribute)().name == name
    assert callable(getattr(app, attribute))


def test_another_process_there_is_not() -> None:
    """A wrong name is an error as with any module."""
    with pytest.raises(AttributeError, match="relabels"):
        _ = app.relabels


def test_no_default_model_is_about_to_end() -> None:
    """Neither has a listed date."""
    from labelbus_labeling.paid import shutdown_notice

    assert shutdown_notice(DEFAULT_MODEL) is None
    assert shutdown_notice(DETECTION_MODEL) is None


def test_margin_and_enlarging_change_what_is_shown_only() -> None:
    """A margin ends at the image's edge; a small crop is enlarged to its shorter side."""
    cropper = Cropper(scene(), SampleFacts(kind="image", width=96, height=64))
    asked = box("x", 0, 16, 20, 10)
    plain = cropper.crop(asked)
    assert (plain.width, plain.height, plain.media_type) == (20, 10, "image/jpeg")
    wide = cropper.crop(asked, margin_percent=50)
    assert (wide.width, wide.height) == (30, 20)
    large = cropper.crop(asked, least_px=40)
    assert (large.width, large.height) == (80, 40)


@pytest.mark.parametrize("size", [(96, 64), (64, 96)])
def test_a_turned_picture_is_cut_where_studio_sees_the_box(size: tuple[int, int]) -> None:
    """With EXIF orientation 6, boxes in stored and in upright pixels both show the red square."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = scene(format="JPEG", exif=exif, quality=95)
    cropper = Cropper(data, SampleFacts(kind="image", width=size[0], height=size[1]))
    where = box("x", 6, 18, 16, 16) if size == (96, 64) else box("x", 64 - 34, 6, 16, 16)
    crop = Image.open(io.BytesIO(cropper.crop(where).data))
    red = crop.resize((1, 1)).getpixel((0, 0))
    assert isinstance(red, tuple)
    assert red[0] > 180
    assert red[1] < 80


@pytest.mark.parametrize(
    "text",
    [
        '{"label": "cat"}',
        '```json\n{"label": "cat"}\n```',
        'Sure! Here is the JSON:\n```\n{"label": "cat"}\n```\nAnything else?',
        'The answer is {"label": "cat"}.',
    ],
)
def test_an_object_is_found_between_sentences(text: str) -> None:
    """Models that take no schema say more than they are asked for."""
    assert object_of(text) == {"label": "cat"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("It is a cat.", "not JSON"),
        ("{cat}", "not JSON"),
        ('[{"label": "cat"}]', "no JSON object"),
        ("", "empty"),
    ],
)
def test_what_holds_no_object_is_useless(text: str, why: str) -> None:
    """A list of objects is none of them."""
    with pytest.raises(Unusable, match=why):
        object_of(text)
