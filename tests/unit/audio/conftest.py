"""A tiny AST of random weights, sounds, and tasks for the labeler."""

import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch
from labelbus_audio.audioset import labels
from labelbus_audio.clips import Values, wav_of
from labelbus_audio.parameters import AudioParameters
from labelbus_contracts.ids import JobId, ProjectId, SampleId
from labelbus_contracts.labels import Base, LabelSet, SampleFacts, TimeRange
from labelbus_labeling.labeler import LabelTask
from labelbus_labeling.testing import GivenMedia

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an AST of two small layers that knows the labels of AudioSet."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    folder = tmp_path_factory.mktemp("ast")
    torch.manual_seed(7)
    config = ASTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        id2label=dict(enumerate(labels())),
        label2id={name: number for number, name in enumerate(labels())},
    )
    model = ASTForAudioClassification(config)
    for name, weights in model.named_parameters():
        if "bias" not in name and "layernorm" not in name:
            torch.nn.init.normal_(weights, std=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder)
        ASTFeatureExtractor().save_pretrained(folder)  # type: ignore[no-untyped-call]
    return folder


def sound(seconds: float, rate: int = 16_000, seed: int = 0) -> Values:
    """Return a tone in noise."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * rate)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (220 + 50 * seed) * time_s)
    return (tone + rng.normal(0, 0.05, len(time_s))).clip(-1, 1).astype(np.float32)


@pytest.fixture
def task() -> Callable[..., LabelTask]:
    """Make a task of the bytes of a clip and parameters."""

    def make(
        data: bytes,
        *,
        count: int | None = None,
        frequency_hz: float | None = None,
        draft: LabelSet | None = None,
        **parameters: object,
    ) -> LabelTask:
        facts = SampleFacts(kind="audio", values_count=count, frequency_hz=frequency_hz)
        labels = draft or LabelSet()
        given = {"audioset_labels": "speech\nmusic", "win_size_ms": 1000, "win_stride_ms": 1000, **parameters}
        return LabelTask(
            job_id=JobId("job"),
            project_id=ProjectId(1),
            sample_id=SampleId(42),
            base=Base(sample=facts, labels=labels, read_at=datetime(2026, 1, 1, tzinfo=UTC)),
            draft=labels,
            parameters=AudioParameters.model_validate(given),
            source="audio#0",
            media=GivenMedia(data),
        )

    return make


@pytest.fixture
def clip_bytes() -> bytes:
    """Return three seconds at 16 kHz."""
    return wav_of(sound(3.0), 16_000)


def spans(ranges: tuple[TimeRange, ...]) -> list[tuple[int, int, str]]:
    """Return the bounds and labels of ranges."""
    return [(one.start_index, one.end_index, one.label) for one in ranges]


@pytest.fixture(name="spans")
def _spans() -> Callable[[tuple[TimeRange, ...]], list[tuple[int, int, str]]]:
    return spans


@pytest.fixture(name="sound")
def _sound() -> Callable[..., Values]:
    return sound
