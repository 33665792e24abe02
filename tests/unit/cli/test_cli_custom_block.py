"""`labelbus run-block`: from options and somebody's parameters.json to an action of one step."""

import json
from pathlib import Path
from typing import Any

import pytest
from labelbus_cli.actions import read_action
from labelbus_cli.custom_block import Block, action_of
from labelbus_cli.errors import BadInput
from labelbus_cli.foreign_form import read_form
from labelbus_cli.labelers import all_labelers
from labelbus_cli.main import app
from typer.testing import CliRunner

FORM = {
    "version": 1,
    "type": "ai-action",
    "info": {
        "name": "Colour labels",
        "operatesOn": ["images_object_detection"],
        "requiredEnvVariables": ["ENDPOINT"],
    },
    "parameters": [
        {"name": "Key", "type": "secret", "param": "COLOUR_KEY", "value": ""},
        {"name": "Prompt", "type": "string", "param": "prompt", "value": "red\nblue", "multiline": True},
        {"name": "NMS", "type": "flag", "param": "nms", "value": "true"},
        {
            "name": "IoU",
            "type": "float",
            "param": "iou",
            "value": "0.2",
            "showIf": {"parameter": "nms", "operator": "eq", "value": "true"},
        },
        {"name": "Verbose", "type": "boolean", "param": "verbose", "value": False},
        {"name": "Limit", "type": "int", "param": "limit", "value": 3, "optional": True},
    ],
}


@pytest.fixture
def form(tmp_path: Path) -> Path:
    """Write a form."""
    path = tmp_path / "parameters.json"
    path.write_text(json.dumps(FORM))
    return path


def block(tmp_path: Path, **more: Any) -> Block:
    """Return what was asked, with all that the form needs."""
    given: dict[str, Any] = {"secrets": ("COLOUR_KEY=env:KEY",), "env": ("ENDPOINT=http://x",)}
    return Block(command="python 'my block.py'", folder=tmp_path, **given | more)


def test_options_make_an_action(tmp_path: Path) -> None:
    """Only what differs from the defaults is in it, so that the same command is the same job again."""
    action = action_of(block(tmp_path, params=("label=a=b", "fast")))
    (step,) = action.steps
    assert step.labeler == "custom-block"
    assert step.parameters == {
        "command": ["python", "my block.py"],
        "folder": str(tmp_path),
        "arguments": {"label": "a=b", "fast": True},
        "environment": {"ENDPOINT": "http://x"},
        "secrets": {"COLOUR_KEY": "env:KEY"},
    }


def test_a_form_gives_what_studio_would(tmp_path: Path, form: Path) -> None:
    """Defaults are handed over, optional ones not; flags are bare, truth values 1 or 0."""
    action = action_of(block(tmp_path, form=form, params=("prompt=green",)))
    parameters = action.steps[0].parameters
    assert action.name == "block: Colour labels"
    assert parameters["arguments"] == {"prompt": "green", "nms": True, "iou": "0.2", "verbose": "0"}
    assert parameters["operates_on"] == ["images_object_detection"]
    off = action_of(block(tmp_path, form=form, params=("nms=false", "verbose=1", "limit=5")))
    assert off.steps[0].parameters["arguments"] == {
        "prompt": "red\nblue", "nms": False, "verbose": "1", "limit": "5",
    }  # fmt: skip


def test_the_action_can_be_kept(tmp_path: Path) -> None:
    """`--print-action` needs no key; what it prints is an action file that is the same action again."""
    command = ["run-block", "--command", "node index.js", "--param", "prompt=a\nb", "--timeout", "60"]
    printed = CliRunner().invoke(app, [*command, "--folder", str(tmp_path), "--print-action"]).output
    path = tmp_path / "action.yaml"
    path.write_text(printed)
    block = Block("node index.js", tmp_path, params=("prompt=a\nb",), more={"timeout_s": 60.0})
    assert read_action(path, all_labelers()) == action_of(block)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"params": ("promt=x",)}, "'prompt'"),
        ({"secrets": ()}, "--secret COLOUR_KEY=env:COLOUR_KEY"),
        ({"env": ()}, "needs the variable ENDPOINT"),
        ({"env": ("ENDPOINT",)}, "Write NAME=VALUE"),
        ({"secrets": ("COLOUR_KEY=the-key-itself",)}, "never write the secret itself"),
        ({"params": ("COLOUR_KEY=x",)}, "no parameter 'COLOUR_KEY'"),
    ],
)
def test_wrong_options_are_said(tmp_path: Path, form: Path, more: dict[str, Any], said: str) -> None:
    """Before a job exists; a secret that was written out is not shown."""
    with pytest.raises(BadInput) as caught:
        action_of(block(tmp_path, form=form, **more))
    assert said in str(caught.value)
    assert "the-key-itself" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", '{"parameters": [{}]}', '{"info": 3, "parameters": []}'])
def test_a_form_that_is_none_is_said(tmp_path: Path, text: str) -> None:
    """With its path."""
    path = tmp_path / "parameters.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"parameters\.json"):
        read_form(path)


@pytest.mark.parametrize(
    "folder", sorted((Path(__file__).parents[3] / "blocks").iterdir()), ids=lambda one: one.name
)
def test_our_own_forms_are_read(folder: Path) -> None:
    """Every block of Labelbus is one that run-block could run."""
    assert read_form(folder / "parameters.json").items
