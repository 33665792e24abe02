"""The models that are known: how large they are, and how quick they will be here."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from labelbus_labeling.hub import fetches

DEFAULT_MODEL: Final = "google/owlv2-base-patch16-ensemble"
SMALL_MODEL: Final = "google/owlvit-base-patch32"
TOY_MODEL: Final = "toy"
TOY_FOLDER: Final = Path(__file__).parent / "toy"


@dataclass(frozen=True, slots=True)
class KnownModel:
    """`cpu_s` is seconds per image on one current CPU core in float32, whatever the number of phrases."""

    download_mb: int
    cpu_s: float


KNOWN: Final = {
    "google/owlvit-base-patch32": KnownModel(613, 0.9),
    "google/owlvit-base-patch16": KnownModel(613, 5.2),
    "google/owlvit-large-patch14": KnownModel(1740, 28),
    "google/owlv2-base-patch16": KnownModel(620, 9.6),
    "google/owlv2-base-patch16-ensemble": KnownModel(620, 9.6),
    "google/owlv2-base-patch16-finetuned": KnownModel(620, 9.6),
    "google/owlv2-large-patch14": KnownModel(1750, 48),
    "google/owlv2-large-patch14-ensemble": KnownModel(1750, 48),
}


def download_notice(model: str, *, gpu: str | None = None, cores: int | None = None) -> str | None:
    """Say what loading a model will fetch and how quick it will be; None where nothing is fetched.

    `gpu` names this machine's, where it has one; `cores` is the machine's own number by default.
    """
    if model == TOY_MODEL or not fetches(model):
        return None
    known = KNOWN.get(model)
    if known is None:
        return f"Fetching {model} from the Hugging Face hub. Its size is not known here."
    size = f"Fetching {model}, about {known.download_mb} MB, from the Hugging Face hub."
    if gpu:
        return f"{size} It will run on this machine's {gpu}, at well under a second an image."
    count = cores or os.cpu_count() or 1
    speed = f"Without a GPU expect about {known.cpu_s / count:.1f} s an image on {count} CPU cores."
    return f"{size} {speed} {_alternatives(model)}"


def _alternatives(model: str) -> str:
    remote = "a GPU elsewhere through BEAM_ENDPOINT and BEAM_ACCESS_KEY"
    if model == SMALL_MODEL:
        return f"Quicker: {remote}."
    quicker = round(KNOWN[model].cpu_s / KNOWN[SMALL_MODEL].cpu_s)
    return f"Quicker: LABELBUS_DETECTOR_MODEL={SMALL_MODEL} (about {quicker} times), or {remote}."
