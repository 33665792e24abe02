"""The audio labeler: from the command to the time ranges in Studio, as the official block leaves them."""

import io
import math
import re
import wave
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from labelbus_cli.testing import KEY, World
from labelbus_contracts.labels import TimeRange, painted
from labelbus_simulator import Dataset
from labelbus_simulator.clips import read_wav
from labelbus_simulator.models import Desk, Mishap, huggingface_app, serve_model
from labelbus_simulator.models.huggingface import GONE, LOADING, NO_CREDIT

LABELS = r"Sine wave (tone)\nwhite noise"
WANTED = {"sine wave": "tone", "white noise": "white noise"}
WINDOWS = ["--win-size-ms", "500", "--win-stride-ms", "300"]


@pytest.fixture
def desk() -> Desk:
    """Give the stand-in for Hugging Face."""
    return Desk(key="hf_key")


@pytest.fixture
def endpoint(desk: Desk, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve it; the labeler finds it by HF_INFERENCE_ENDPOINT."""
    with serve_model(huggingface_app(desk)) as url:
        monkeypatch.setenv("HF_INFERENCE_ENDPOINT", f"{url}/ast")
        monkeypatch.setenv("HF_API_KEY", "hf_key")
        yield f"{url}/ast"


@pytest.fixture
def world(make_world: Callable[..., World], endpoint: str) -> World:
    """Give a world with clips of tones, noise and silence, at several rates and lengths."""
    made = make_world()
    made.project.labeling_method = "single_label"
    made.ids = made.project.add_audio(3, pieces=3, seconds=2.0)
    made.ids += made.project.add_audio(1, pieces=2, seconds=1.234, rate=11025, channels=2)
    made.ids += made.project.add_audio(1, seconds=0.5)
    return made


def official(world: World, url: str, sample_id: int, size_ms: int, stride_ms: int) -> list[dict[str, Any]]:
    """Return the structured labels by the official block's algorithm, written anew from its description."""
    sample = world.project.samples[sample_id]
    values, rate = read_wav(sample.content.data())
    size, stride = (math.ceil(ms * (sample.frequency / 1000)) for ms in (size_ms, stride_ms))
    starts = [*range(0, sample.values_count - size + 1, stride), sample.values_count - size]
    found = []
    for start in starts:
        first = math.floor(start / (sample.frequency / 1000))
        last = math.ceil((start + size) / (sample.frequency / 1000))
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(values[first * rate // 1000 : last * rate // 1000, 0].tobytes())
        answer = httpx.post(url, content=buffer.getvalue(), headers={"Authorization": "Bearer hf_key"})
        heard = [(one["label"].lower(), one["score"]) for one in answer.json()]
        label = next((WANTED[name] for name, score in heard if name in WANTED and score >= 0.2), "other")
        end = min(start + size, sample.values_count - 1)
        found.append({"startIndex": start, "endIndex": end, "label": label})
    return found


def paint(ranges: list[dict[str, Any]]) -> object:
    """Return structured labels as Studio paints them."""
    return painted(
        tuple(
            TimeRange(start_index=one["startIndex"], end_index=one["endIndex"], label=one["label"])
            for one in ranges
        )
    )


def test_the_block_does_what_the_official_one_does(world: World, endpoint: str, desk: Desk) -> None:
    """Preview and apply give its labels and metadata; applying after the preview asks nothing again."""
    for one in world.ids:
        world.project.samples[one].metadata = {"site": "left"}
    wanted = {one: paint(official(world, endpoint, one, 500, 300)) for one in world.ids}
    studio_job = world.project.add_job()
    common = ["block", "audio", "--data-ids-file", world.ids_file(), "--audioset-labels", LABELS, *WINDOWS]
    before, asked = world.state(), len(desk.requests)

    preview = world.labelbus(*common, "--propose-actions", str(studio_job.id))
    assert preview.exit_code == 0, preview.output
    assert world.state() == before
    proposed = {sample: changes for (_, sample), changes in studio_job.proposals.items()}
    assert {one: paint(proposed[one]["structuredLabels"]) for one in world.ids} == wanted
    ours = len(desk.requests) - asked
    assert ours < asked  # no window twice

    applied = world.labelbus(*common)
    assert applied.exit_code == 0, applied.output
    assert {one: paint(world.project.samples[one].ranges) for one in world.ids} == wanted
    metadata = {
        "site": "left",
        "labeled_by": "audio-spectrogram-transformer",
        "ast_labels": "sine wave (tone), white noise",
    }
    assert all(world.project.samples[one].metadata == metadata for one in world.ids)
    assert all(proposed[one]["metadata"] == metadata for one in world.ids)
    assert len(desk.requests) == asked + ours
    assert "hf_key" not in preview.output + applied.output


ACTION = """\
name: sounds
steps:
  - labeler: audio
    parameters:
      audioset_labels: |
        sine wave
        white noise
      win_size_ms: 500
      win_stride_ms: 500
"""


def test_an_action_labels_and_its_preview_is_applied(world: World, desk: Desk) -> None:
    """Each sample is written once, and Studio's rules for structured labels hold."""
    previewed = world.labelbus("run", world.action_file(ACTION), "--data-ids-file", world.ids_file())
    assert previewed.exit_code == 0, previewed.output
    assert world.written() == []
    asked = len(desk.requests)
    found = re.search(r"Job ([0-9a-f]{32})", previewed.output)
    assert found
    applied = world.labelbus("jobs", "apply", found[1], "--yes")
    assert applied.exit_code == 0, applied.output
    assert len(desk.requests) == asked
    assert Counter(world.written("set-ranges")) == dict.fromkeys(world.ids, 1)
    ranges = world.project.samples[world.ids[0]].ranges
    assert ranges[0]["startIndex"] == 0
    assert ranges[-1]["endIndex"] == world.project.samples[world.ids[0]].values_count - 1


def test_a_bad_clip_fails_alone(world: World) -> None:
    """The rest is labeled; a clip shorter than a window is labeled too."""
    short = world.project.add_audio(1, seconds=0.2)
    bad = world.project.add_sample("bad.wav", b"RIFF no sound", values_count=16_000, frequency=16_000.0)
    empty = world.project.add_sample("empty.wav", world.project.samples[short[0]].content.data()[:44])
    ids = [*world.ids, *short, bad, empty]
    result = world.labelbus(
        "run", world.action_file(ACTION), "--data-ids-file", world.ids_file(ids), "--apply", "--yes"
    )
    assert result.exit_code == 1
    assert "6 committed, 2 failed" in result.output
    assert [one["endIndex"] for one in world.project.samples[short[0]].ranges] == [3199]


def test_sound_of_every_kind_fails_alone_or_not_at_all(world: World, endpoint: str) -> None:
    """Float, 24 bits, stereo and every rate are labeled; no sound, half a file and no WAV each say why."""
    ids = world.project.add(
        Dataset.damaged("wav-float", "wav-24bit", "wav-empty", "wav-truncated", "not-a-wav")
    )
    for rate in (8_000, 44_100, 192_000):
        ids += world.project.add_audio(1, seconds=0.6, rate=rate, channels=2)
    command = ["block", "audio", "--data-ids-file", world.ids_file([*world.ids, *ids])]
    result = world.labelbus(*command, "--audioset-labels", LABELS, *WINDOWS)
    assert result.exit_code == 1
    assert "10 committed, 3 failed" in result.output
    assert "failed 2: The clip's file ends early" in result.output
    assert "failed 1: The clip's bytes are no sound that can be read" in result.output
    labeled = {one for one in ids if world.project.samples[one].ranges}
    assert labeled == {*ids[:2], *ids[5:]}


def test_a_provider_that_is_down_is_said_and_come_back_to(
    world: World, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """Each sample fails with the reason after its attempts; once the provider is back they are labeled."""
    monkeypatch.setenv("LABELBUS_DISPATCHER_ATTEMPTS", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("HF_INFERENCE_ENDPOINT", "http://127.0.0.1:9/ast")
    command = ["run", world.action_file(ACTION), "--data-ids-file", world.ids_file(), "--apply", "--yes"]
    down = world.labelbus(*command)
    assert down.exit_code == 1
    assert "5 failed" in down.output
    assert "The endpoint cannot be reached: nobody listens there. Check HF_INFERENCE_ENDPOINT." in down.output
    monkeypatch.setenv("HF_INFERENCE_ENDPOINT", endpoint)
    back = world.labelbus("jobs", "resume", "last", "--retry-failed")
    assert back.exit_code == 0, back.output
    assert "5 committed" in back.output


def test_a_key_revoked_in_the_middle_pauses_the_job(world: World, desk: Desk) -> None:
    """What was heard before is not asked again when the job goes on."""
    world.labelbus("run", world.action_file(ACTION), "--data-ids-file", world.ids_file(world.ids[:2]))
    heard = len(desk.requests)
    desk.key = "another"
    paused = world.labelbus("run", world.action_file(ACTION), "--data-ids-file", world.ids_file())
    assert paused.exit_code == 1
    assert "is paused" in paused.output
    assert "Correct HF_API_KEY" in " ".join(paused.output.split())
    refused = len(desk.requests) - heard
    desk.key = "hf_key"
    assert world.labelbus("jobs", "resume", "last").exit_code == 0
    everything = sum(_windows(world, one) for one in world.ids)
    assert len(desk.requests) - refused <= everything


def _windows(world: World, sample_id: int) -> int:
    sample = world.project.samples[sample_id]
    return math.ceil(sample.values_count / (0.5 * sample.frequency))


@pytest.mark.parametrize(
    ("mishap", "said"),
    [
        (NO_CREDIT, "no credit left"),
        (GONE, "does not offer the model any more"),
        (Mishap(401, {"error": "Invalid credentials"}), "Correct HF_API_KEY"),
    ],
)
def test_what_no_retry_mends_pauses_the_job(world: World, desk: Desk, mishap: Mishap, said: str) -> None:
    """The reason is said plainly, nothing is written, and the job goes on once it is mended."""
    desk.mishaps.extend([mishap] * 200)
    arguments = ["run", world.action_file(ACTION), "--data-ids-file", world.ids_file(), "--apply", "--yes"]
    paused = world.labelbus(*arguments)
    assert paused.exit_code == 1
    assert said in " ".join(paused.output.split())
    assert world.written() == []
    desk.mishaps.clear()
    found = re.search(r"Job ([0-9a-f]{32})", paused.output)
    assert found
    resumed = world.labelbus("jobs", "resume", found[1])
    assert resumed.exit_code == 0, resumed.output
    assert "5 committed" in resumed.output


def test_a_model_that_still_loads_is_waited_for(world: World, desk: Desk) -> None:
    """503 with an estimated time costs that time and nothing else."""
    desk.mishaps.extend([LOADING] * 3)
    result = world.labelbus("run", world.action_file(ACTION), "--data-ids-file", world.ids_file())
    assert result.exit_code == 0, result.output


def test_labels_that_do_not_exist_are_named_before_anything(world: World) -> None:
    """With the nearest one that does."""
    result = world.labelbus(
        "block", "audio", "--data-ids-file", world.ids_file(), "--audioset-labels", "spech", *WINDOWS
    )
    assert result.exit_code != 0
    assert "'spech'" in result.output
    assert "'Speech'" in result.output


def test_pictures_are_not_listened_to(world: World) -> None:
    """A project's samples of another kind are refused before the job starts."""
    ids = world.project.add(Dataset.images(1))
    result = world.labelbus("run", world.action_file(ACTION), "--data-ids-file", world.ids_file(ids))
    assert result.exit_code == 2
    assert "audio works on audio, not on image" in " ".join(result.output.split())


def test_the_form_is_generated(world: World) -> None:
    """The committed parameters.json is what the command prints."""
    printed = world.labelbus("block", "audio", "--parameters-json").output
    assert (Path(__file__).parents[2] / "blocks/audio/parameters.json").read_text() == printed
    assert KEY not in printed
