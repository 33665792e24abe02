"""Labelers are found by name; parameters and samples that do not fit are explained."""

from dataclasses import replace

import pytest
from labelbus_contracts.labels import LabelingMethod, SampleKind
from labelbus_labeling.errors import UnknownLabeler, WrongParameters
from labelbus_labeling.labeler import OperatesOn, Registration
from labelbus_labeling.registry import check_fits, find, installed, validate_parameters


def test_installed() -> None:
    """An installed package's labeler is there under its own name."""
    assert installed()["owl-vit"].name == "owl-vit"


def test_unknown_labeler(registration: Registration) -> None:
    """A misspelt labeler is answered with the nearest one."""
    with pytest.raises(UnknownLabeler, match=r"no labeler 'fram' \(nearest: 'frame'\)"):
        find("fram", {"frame": registration})


def test_parameters(registration: Registration) -> None:
    """Good parameters come back typed, with their defaults."""
    assert validate_parameters(registration, {"label": "cat"}).model_dump() == {"label": "cat", "inset": 0}


def test_wrong_parameters(registration: Registration) -> None:
    """All faults are named at once, a misspelt name with the nearest one, and no value is repeated."""
    with pytest.raises(WrongParameters) as caught:
        validate_parameters(registration, {"lable": "hunter2", "inset": "x"})
    text = str(caught.value)
    assert "'lable' is unknown (nearest: 'label')" in text
    assert "label: Field required" in text
    assert "inset: Input should be a valid integer" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("operates_on", "method", "kind", "fits"),
    [
        ("images_object_detection", "object_detection", "image", True),
        ("images_object_detection", "unknown", None, True),
        ("images_object_detection", "single_label", "image", False),
        ("images_object_detection", "object_detection", "audio", False),
        ("images_single_label", "single_label", "image", True),
        ("images_single_label", "object_detection", "image", False),
        ("audio", "single_label", "audio", True),
        ("audio", "single_label", "image", False),
        ("other", "label_map", "table", True),
    ],
)
def test_fits(
    registration: Registration,
    operates_on: OperatesOn,
    method: LabelingMethod,
    kind: SampleKind | None,
    fits: bool,
) -> None:
    """A labeler is for the kinds of data it says; anything else is explained."""
    said = check_fits(replace(registration, operates_on=frozenset({operates_on})), method, kind)
    assert (said is None) is fits
    assert fits or "Choose another labeler, or other samples." in str(said)


def test_a_kind_without_a_name_is_said(registration: Registration) -> None:
    """Sensor data in a project of one label per item: the method is not what is wrong."""
    audio = replace(registration, operates_on=frozenset({"audio"}))
    assert "not on samples of other kinds in a project" in str(check_fits(audio, "single_label", "other"))
