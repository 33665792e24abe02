"""A labeler of the tests' own, so that these tests need no model."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import pytest
from labelbus_cli.actions import read_action
from labelbus_cli.errors import BadInput
from labelbus_detector.parameters import OwlVitParameters
from labelbus_labeling.labeler import Labeler, LabelerParameters, Registration
from pydantic import Field


class FinderParameters(LabelerParameters):
    """One of every kind."""

    prompt: str = Field(title="Prompt", description="What to find.", json_schema_extra={"multiline": True})
    strictness: float = Field(default=0.5, ge=0, le=1, title="Strictness")
    mode: Literal["fast", "good"] = "good"
    limit: int | None = None
    deep: bool = False


def never_made(environ: Mapping[str, str]) -> Labeler:
    """Parsing opens no labeler."""
    raise AssertionError("nobody should open this labeler")


def registration(name: str, parameters: type[LabelerParameters]) -> Registration:
    """Return a labeler that can be described, not opened."""
    return Registration(
        name=name,
        title=f"The {name}",
        operates_on=frozenset({"images_object_detection"}),
        parameters=parameters,
        make=never_made,
    )


@pytest.fixture
def labelers() -> dict[str, Registration]:
    """Return two labelers: one of the tests, and the detector's parameters."""
    finder, owl = registration("finder", FinderParameters), registration("owl-vit", OwlVitParameters)
    return {one.name: one for one in (finder, owl)}


@pytest.fixture
def fault(tmp_path: Path, labelers: dict[str, Registration]) -> Callable[[str], str]:
    """Return what says what is said of a wrong action file, without the folder."""

    def said(text: str) -> str:
        path = tmp_path / "action.yaml"
        path.write_text(text)
        with pytest.raises(BadInput) as raised:
            read_action(path, labelers)
        return str(raised.value).replace(f"{tmp_path}/", "")

    return said
