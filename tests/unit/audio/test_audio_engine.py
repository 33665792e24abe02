"""The local engine against transformers: the same features, the same probabilities."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from labelbus_audio.clips import Clip, Values
from labelbus_audio.ears import Query
from labelbus_audio.errors import EngineUnavailable
from labelbus_audio.features import FeatureShape, features_of
from labelbus_audio.loading import download_notice, load_engine
from labelbus_audio.local import LocalEars
from labelbus_audio.settings import DEFAULT_MODEL, AudioSettings
from labelbus_audio.windows import Window
from transformers import ASTFeatureExtractor, AudioClassificationPipeline

Sound = Callable[..., Values]
pytestmark = pytest.mark.filterwarnings("ignore:At least one mel filter")  # of the stock extractor


@pytest.mark.parametrize("seconds", [0.025, 0.1, 1.0, 11.0])
def test_features_are_those_of_transformers(sound: Sound, seconds: float) -> None:
    """Within 1e-3, whatever the length; longer sounds are cut off."""
    sounds = [sound(seconds, seed=seed) for seed in range(3)] + [
        np.zeros(round(seconds * 16_000), np.float32)
    ]
    stock = ASTFeatureExtractor()  # type: ignore[no-untyped-call]
    theirs = stock(sounds, sampling_rate=16_000, return_tensors="np")["input_values"]
    np.testing.assert_allclose(features_of(sounds, FeatureShape()), theirs, atol=1e-3)


def test_a_sound_shorter_than_a_frame_has_features() -> None:
    """It is padded to one frame of 25 ms."""
    assert features_of([np.ones(10, np.float32)], FeatureShape()).shape == (1, 1024, 128)


def test_probabilities_are_those_of_the_pipeline(tiny: Path, sound: Sound) -> None:
    """Labels in the same order, scores to 1e-5, though only two tokens of the last layer are computed."""
    from transformers import ASTForAudioClassification

    pipeline = AudioClassificationPipeline(  # type: ignore[no-untyped-call]
        model=ASTForAudioClassification.from_pretrained(tiny),
        feature_extractor=ASTFeatureExtractor.from_pretrained(tiny),
    )
    engine = load_engine(str(tiny), device="cpu")
    sounds = [sound(1.0, seed=seed) for seed in range(4)]
    ours = engine.hear(features_of(sounds, engine.shape), 5)
    for mine, one in zip(ours, sounds, strict=True):
        theirs = pipeline(one, top_k=5)
        assert [label for label, _ in mine] == [row["label"] for row in theirs]
        np.testing.assert_allclose([s for _, s in mine], [row["score"] for row in theirs], atol=1e-5)


async def test_any_rate_is_resampled_once(tiny: Path, sound: Sound) -> None:
    """A clip at 48 kHz is heard as the same clip at 16 kHz is, window by window."""
    settings = AudioSettings(engine="local", model=str(tiny), device="cpu", max_batch=2)
    ears = LocalEars(settings)
    await ears.open()
    try:
        answers = []
        for rate in (16_000, 48_000):
            time_s = np.arange(3 * rate) / rate
            clip = Clip((0.3 * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32), rate)
            windows = tuple(Window(at * rate, (at + 1) * rate) for at in range(3))
            answers.append(await ears.hear(Query(clip, windows, rate, 3)))
    finally:
        await ears.close()
    for one, other in zip(*answers, strict=True):
        assert isinstance(one, tuple)
        assert isinstance(other, tuple)
        np.testing.assert_allclose([h.score for h in one], [h.score for h in other], atol=0.02)


@pytest.mark.parametrize("change", ["kind", "labels", "rate"])
def test_models_that_do_not_fit_are_named(tiny: Path, tmp_path: Path, change: str) -> None:
    """Another kind of model, one that knows no AudioSet, one of another sampling rate: each says why."""
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    name = "preprocessor_config.json" if change == "rate" else "config.json"
    document = json.loads((tmp_path / name).read_text())
    edits: dict[str, tuple[dict[str, object], str]] = {
        "kind": ({"model_type": "vit"}, "is of kind 'vit'"),
        "labels": ({"id2label": {0: "on", 1: "off"}}, "knows no label of AudioSet"),
        "rate": ({"sampling_rate": 8000}, "8000 Hz"),
    }
    edit, said = edits[change]
    (tmp_path / name).write_text(json.dumps({**document, **edit}))
    with pytest.raises(EngineUnavailable, match=said):
        load_engine(str(tmp_path), device="cpu")


def test_weights_that_are_not_there_are_not_made_up(tiny: Path, tmp_path: Path) -> None:
    """A file without a classifier would hear by chance."""
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny, tmp_path / "model"))
    file = folder / "model.safetensors"
    kept = {name: one for name, one in load_file(file).items() if not name.startswith("classifier")}
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(EngineUnavailable, match="its weights lack classifier"):
        load_engine(str(folder), device="cpu")
    file.write_bytes(b"no weights")
    with pytest.raises(EngineUnavailable, match="cannot be loaded"):
        load_engine(str(folder), device="cpu")


def test_a_download_is_announced(tiny: Path) -> None:
    """What is fetched, how slow a CPU is, and what to do instead; nothing of a folder."""
    notice = download_notice("nobody/has-this")
    assert notice is not None
    assert "Fetching nobody/has-this from" in notice
    assert "350 MB" in str(download_notice(DEFAULT_MODEL))
    assert "HF_INFERENCE_ENDPOINT" in notice
    assert download_notice(str(tiny)) is None


def test_a_model_that_is_not_there_says_what_to_change() -> None:
    """A folder that does not exist."""
    with pytest.raises(EngineUnavailable, match="LABELBUS_AUDIO_MODEL"):
        load_engine("/nowhere/at/all", device="cpu")
