"""Every way that loading a model fails says what to change; downloads are announced."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from labelbus_detector.errors import ModelUnavailable
from labelbus_detector.loading import load_engine
from labelbus_detector.local import LocalDetector
from labelbus_detector.models import KNOWN, TOY_FOLDER, download_notice
from labelbus_detector.settings import DetectorSettings
from labelbus_runtime.errors import SettingsError


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("/nowhere/owl", "does not exist"),
        ("./owl", "does not exist"),
        ("owl", "does not exist"),
    ],
)
def test_a_missing_folder_is_named(model: str, says: str) -> None:
    """The text names what was given and what could be given."""
    with pytest.raises(ModelUnavailable, match=says):
        load_engine(model)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    """A folder needs config.json."""
    with pytest.raises(ModelUnavailable, match=r"no config\.json"):
        load_engine(str(tmp_path))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    """A model that is not OWL is told by its kind, before its weights are read."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelUnavailable, match="kind 'bert'"):
        load_engine(str(tmp_path))


def test_missing_weights_are_told(tmp_path: Path) -> None:
    """A configuration alone is no model."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "owlv2"}))
    with pytest.raises(ModelUnavailable, match="cannot be loaded"):
        load_engine(str(tmp_path))


def _without_heads(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    kept = {name: one for name, one in load_file(file).items() if not name.startswith("class_head")}
    save_file(kept, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_without_heads, r"its weights lack class_head\.dense0\.bias, .* and 4 more\. Name a folder"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "its tokenizer knows 3 of 597 tokens"),
        (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot be loaded"),
        (lambda folder: os.truncate(folder / "model.safetensors", 100_000), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
    ],
    ids=["weights", "no words", "wrong words", "cut short", "no JSON"],
)
def test_a_damaged_model_is_refused(tmp_path: Path, damage: Callable[[Path], object], says: str) -> None:
    """What a file lacks would be made up by chance, and label like that; what cannot be read is told."""
    folder = Path(shutil.copytree(TOY_FOLDER, tmp_path / "model"))
    damage(folder)
    with pytest.raises(ModelUnavailable, match=says):
        load_engine(str(folder), device="cpu")


def test_an_unreachable_hub_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the hub the error offers a folder, the toy or a detector elsewhere."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnavailable, match="BEAM_ENDPOINT"):
        load_engine("labelbus/there-is-no-such-model")


async def test_no_download_is_announced_where_no_model_can_run(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is missing is said, and nothing of a download that will not be."""
    monkeypatch.setitem(sys.modules, "torch", None)
    detector = LocalDetector(DetectorSettings.from_environment({}))
    with pytest.raises(ModelUnavailable, match=r"needs torch"):
        await detector.open()
    await detector.close()
    assert caplog.messages == []


def test_a_missing_device_is_told() -> None:
    """A device that torch does not have is an error, not a silent CPU."""
    import torch

    absent = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(SettingsError, match=f"{absent}.*LABELBUS_DETECTOR_DEVICE"):
        load_engine("toy", device=absent)  # type: ignore[arg-type]


def test_a_download_is_announced() -> None:
    """Size, likely speed and quicker ways are told; nothing where nothing is fetched."""
    notice = download_notice("google/owlv2-base-patch16-ensemble", cores=2)
    assert notice is not None
    for part in ("620 MB", "4.8 s an image on 2 CPU cores", "google/owlvit-base-patch32", "BEAM_ENDPOINT"):
        assert part in notice
    assert "H200" in (download_notice("google/owlv2-base-patch16-ensemble", gpu="NVIDIA H200") or "")
    assert download_notice("toy") is None
    assert "not known" in (download_notice("someone/owl-of-theirs") or "")


def test_every_known_model_can_be_announced() -> None:
    """The table has no hole."""
    assert all(download_notice(model, cores=1) for model in KNOWN)
