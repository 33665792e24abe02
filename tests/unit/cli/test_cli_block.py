"""A block's command line as Studio writes it, and the form that Studio shows."""

import io
import json
from pathlib import Path

import pytest
from labelbus_audio import registration
from labelbus_cli.block_arguments import BlockArguments, options, read_arguments
from labelbus_cli.block_form import form
from labelbus_cli.block_help import block_help
from labelbus_cli.block_run import run_block
from labelbus_cli.errors import BadInput
from labelbus_detector.parameters import OwlVitParameters
from labelbus_labeling.labeler import Registration

NEEDED = ["--data-ids-file", "ids.json", "--prompt", "a cat"]


@pytest.fixture
def owl(labelers: dict[str, Registration]) -> Registration:
    """Return the detector."""
    return labelers["owl-vit"]


@pytest.fixture
def audio() -> Registration:
    """Return the audio labeler."""
    return registration()


def parameters(arguments: BlockArguments) -> OwlVitParameters:
    """Return the detector's parameters."""
    assert isinstance(arguments.parameters, OwlVitParameters)
    return arguments.parameters


def test_the_official_arguments_are_understood(owl: Registration) -> None:
    """Names with dashes and underscores, a flag, an int, and backslash-n for a newline."""
    argv = [*NEEDED[:2], "--prompt", r"a cat (cat, 0.2)\na dog", "--delete_existing_bounding_boxes", "yes"]
    argv += [
        "--nms",
        "--nms-iou-threshold",
        "0.5",
        "--ignore-objects-larger-than",
        "80",
        "--propose-actions",
        "7",
    ]
    read = read_arguments(argv, owl)
    assert (read.ids_file, read.studio_job_id) == (Path("ids.json"), 7)
    assert parameters(read).prompt == "a cat (cat, 0.2)\na dog"
    assert parameters(read).delete_existing_bounding_boxes == "yes"
    assert (parameters(read).nms, parameters(read).nms_iou_threshold) == (True, 0.5)
    assert parameters(read).ignore_objects_larger_than == 80


@pytest.mark.parametrize("value", [["--propose-actions", "0"], ["--propose-actions", ""], []])
def test_no_preview_job_means_apply(owl: Registration, value: list[str]) -> None:
    """0, an empty value and a missing argument are the same."""
    assert read_arguments([*NEEDED, *value], owl).studio_job_id is None


@pytest.mark.parametrize("empty", [["--nms-iou-threshold", ""], ["--clip="], ["--threshold", " "]])
def test_an_empty_number_or_choice_counts_as_not_given(owl: Registration, empty: list[str]) -> None:
    """The official blocks take their default then; a text may be empty."""
    read = read_arguments([*NEEDED, *empty, "--delete_existing_bounding_boxes", ""], owl)
    assert read.given == {"prompt": "a cat"}


def test_custom_block_is_no_block() -> None:
    """It runs another one, which its form could not say; the way to do that is named."""
    said = io.StringIO()
    assert run_block("custom-block", ["--parameters-json"], said) == 1
    assert "labelbus run-block --command" in said.getvalue()


@pytest.mark.parametrize("unknown", [["--metadata", "{}"], ["--new"], ["--new=1"], ["--new", "--verbose"]])
def test_unknown_arguments_are_named_and_ignored(owl: Registration, unknown: list[str]) -> None:
    """Studio may add arguments."""
    read = read_arguments([*unknown, *NEEDED], owl)
    assert read.ignored == (unknown[0].split("=")[0],)
    assert parameters(read).prompt == "a cat"


def test_a_limit_is_a_number_of_samples(owl: Registration) -> None:
    """Empty means all; what is no number above 0 is an error."""
    assert read_arguments([*NEEDED, "--limit", "2"], owl).limit == 2
    assert read_arguments([*NEEDED, "--limit", ""], owl).limit is None
    for wrong in ("0", "-1", "many"):
        with pytest.raises(BadInput, match="--limit"):
            read_arguments([*NEEDED, "--limit", wrong], owl)


def test_a_value_may_begin_with_a_dash(owl: Registration) -> None:
    """A prompt that is a list of dashes is a value, not an option."""
    assert parameters(read_arguments([*NEEDED[:2], "--prompt", "- a cat"], owl)).prompt == "- a cat"


@pytest.mark.parametrize(("value", "on"), [("1", True), ("true", True), ("0", False), ("false", False)])
def test_a_flag_may_have_a_value(owl: Registration, value: str, on: bool) -> None:
    """Present alone is on; a word of truth after it decides."""
    assert parameters(read_arguments([*NEEDED, "--nms", value], owl)).nms is on


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (NEEDED[2:], "Missing --data-ids-file"),
        (NEEDED[:2], "Missing --prompt"),
        ([*NEEDED, "--propose-actions", "soon"], "--propose-actions"),
        ([*NEEDED, "--propose-actions", "-3"], "--propose-actions"),
        ([*NEEDED, "--nms-iou-threshold", "wide"], "--nms-iou-threshold"),
        ([*NEEDED, "--delete_existing_bounding_boxes", "maybe"], "--delete_existing_bounding_boxes"),
        ([*NEEDED[:2], "--prompt"], "--prompt needs a value"),
        ([*NEEDED, "--nms-iou-threshold", "--nms"], "--nms-iou-threshold needs a value"),
        ([*NEEDED, "--clip", "perhaps"], "--clip"),
    ],
)
def test_a_wrong_command_line_names_the_option(owl: Registration, argv: list[str], said: str) -> None:
    """Faults use the option's name, not the field's."""
    with pytest.raises(BadInput, match=said):
        read_arguments(argv, owl)


@pytest.mark.parametrize(
    ("name", "argv", "said"),
    [
        ("owl-vit", ["--nms-iou-threshold", "2"], "--nms-iou-threshold: .* equal to 1 .given: '2'.[.]$"),
        (
            "audio",
            ["--audioset-labels", "spech"],
            "^--audioset-labels: line 1: .*'Speech' or 'Echo'[?]$",
        ),
        ("audio", ["--audioset-labels", "a, b"], "^--audioset-labels: line 1: .*[^.][.]$"),
        ("audio", ["--win-stride-ms", "0"], "--win-stride-ms: .* equal to 1 .given: '0'.[.]$"),
        ("audio", ["--win-size-ms", "5", "--win-stride-ms", "6"], "^The stride of 6 ms .* gaps.*window[.]$"),
    ],
)
def test_faults_are_whole_sentences(
    owl: Registration, audio: Registration, name: str, argv: list[str], said: str
) -> None:
    """One full stop, the value that was given, and no word of the library that checks."""
    needed = {"owl-vit": ["--prompt", "a cat"], "audio": ["--audioset-labels", "speech"]}[name]
    with pytest.raises(BadInput, match=said) as caught:
        read_arguments([*NEEDED[:2], *needed, *argv], {"owl-vit": owl, "audio": audio}[name])
    assert "Value error" not in str(caught.value)


def test_the_help_tells_every_option(owl: Registration, audio: Registration) -> None:
    """With what it takes, what it means and what holds without it; the key's variable too."""
    said = block_help(owl)
    lacking = [name for name in options(owl) if f"\n  {name}" not in said]
    assert lacking == []
    assert "--delete_existing_bounding_boxes no|matching-prompt|yes\n" in said
    assert "  --nms\n" in said
    assert "Required." in said
    assert "Default: 0.2." in said
    assert "\n  HF_API_KEY\n" in block_help(audio)
    assert 'or {"ids": [1, 2]}.' in said


def test_the_form_offers_every_parameter(owl: Registration) -> None:
    """parameters.json has the official names, types and conditions."""
    document = json.loads(form(owl))
    items = {item["param"]: item for item in document["parameters"]}
    assert (document["version"], document["type"]) == (1, "ai-action")
    assert document["info"]["operatesOn"] == ["images_object_detection"]
    assert (items["prompt"]["type"], items["prompt"]["multiline"]) == ("string", True)
    assert items["delete_existing_bounding_boxes"]["type"] == "select"
    assert items["nms"]["type"] == "flag"
    assert items["nms-iou-threshold"]["showIf"] == {"parameter": "nms", "operator": "eq", "value": "true"}
    assert items["ignore-objects-larger-than"]["optional"] is True
