"""The fast path gives what the stock pipeline gives, and the toy model really detects."""

import copy
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from labelbus_detector.detections import Detection
from labelbus_detector.engine import Ask, OwlEngine
from labelbus_detector.images import decode
from labelbus_detector.models import TOY_FOLDER
from labelbus_detector.testing import BLUE_CIRCLE, RED_SQUARE, encoded, shapes, smooth_noise
from labelbus_runtime.errors import RetryLater
from PIL import Image
from transformers import (
    AutoTokenizer,
    Owlv2Config,
    Owlv2ForObjectDetection,
    OwlViTConfig,
    OwlViTForObjectDetection,
    pipeline,
)
from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil
from transformers.models.owlvit.image_processing_pil_owlvit import OwlViTImageProcessorPil

PHRASES = ("a photo of a red square", "blue circle", "dog", "white triangle")


def tiny(kind: str) -> tuple[Any, Any]:
    """Build a random model of 64 pixels whose heads give boxes of all sizes."""
    tokenizer = AutoTokenizer.from_pretrained(TOY_FOLDER)
    size = len(tokenizer)
    config_type, model_type = {
        "owlv2": (Owlv2Config, Owlv2ForObjectDetection),
        "owlvit": (OwlViTConfig, OwlViTForObjectDetection),
    }[kind]
    text = {"vocab_size": size, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "max_position_embeddings": 16, "pad_token_id": 0}
    text |= {"bos_token_id": size - 2, "eos_token_id": size - 1}
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision |= {"image_size": 64, "patch_size": 8}
    torch.manual_seed(0)
    model = model_type(config_type(text_config=text, vision_config=vision, projection_dim=32)).eval()
    with torch.no_grad():  # transformers starts the heads with a deviation of 1: all boxes saturate
        for head in (model.box_head, model.class_head):
            for layer in head.modules():
                if isinstance(layer, torch.nn.Linear):
                    layer.weight.normal_(0, layer.in_features**-0.5)
                    layer.bias.zero_()
    return model, tokenizer


def stock(model: Any, tokenizer: Any) -> Any:
    """Make the pipeline of transformers around a model."""
    is_v2, size = model.config.model_type == "owlv2", model.config.vision_config.image_size
    processor = (Owlv2ImageProcessorPil if is_v2 else OwlViTImageProcessorPil)(
        size={"height": size, "width": size}
    )
    return pipeline(
        "zero-shot-object-detection",
        model=model,
        tokenizer=tokenizer,
        image_processor=processor,
        device="cpu",
    )


def search(
    engine: OwlEngine, images: Sequence[bytes], phrases: Sequence[Sequence[str]], threshold: float
) -> list[tuple[Detection, ...]]:
    """Search one batch."""
    pictures = [decode(image) for image in images]
    asks = [
        Ask(tuple(some), picture.frame, threshold) for some, picture in zip(phrases, pictures, strict=True)
    ]
    return engine.detect([engine.prepare(picture.rgb) for picture in pictures], asks)


def assert_same(found: Sequence[Detection], wanted: list[dict[str, Any]]) -> None:
    """Compare with the pipeline's list: same rows, scores to 1e-5, order up to scores nearer than that."""
    assert Counter((d.phrase, d.xmin, d.ymin, d.xmax, d.ymax) for d in found) == Counter(
        (row["label"], *row["box"].values()) for row in wanted
    )
    for one, row in zip(found, wanted, strict=True):
        assert one.score == pytest.approx(row["score"], abs=1e-5)


@pytest.mark.parametrize("kind", ["owlv2", "owlvit"])
def test_a_mixed_batch_equals_the_pipeline(kind: str) -> None:
    """Four shapes of image with different phrases, in one batch, give four of the pipeline's lists."""
    model, tokenizer = tiny(kind)
    engine, reference = OwlEngine(copy.deepcopy(model), tokenizer), stock(model, tokenizer)
    images = [smooth_noise(*size) for size in [(90, 60), (50, 120), (64, 64), (30, 30)]]
    asked = [PHRASES, PHRASES[:1], PHRASES[1:3], PHRASES[3:]]
    wanted = [reference(image, list(some), threshold=0.45) for image, some in zip(images, asked, strict=True)]
    assert sum(map(len, wanted)) > 50
    found = search(engine, [encoded(image) for image in images], asked, 0.45)
    for mine, theirs in zip(found, wanted, strict=True):
        assert_same(mine, theirs)


def turned() -> bytes:
    """Encode a picture whose EXIF says that it lies on its side."""
    image = shapes()
    exif = image.getexif()
    exif[0x0112] = 8
    return encoded(image, "JPEG", exif=exif, quality=95)


@pytest.mark.parametrize(
    "data",
    [
        encoded(shapes()),
        encoded(shapes().convert("RGBA")),
        encoded(shapes().convert("P")),
        encoded(shapes().convert("CMYK"), "JPEG"),
        turned(),
    ],
    ids=["rgb", "rgba", "palette", "cmyk", "exif"],
)
def test_the_toy_equals_the_pipeline(toy: OwlEngine, data: bytes, tmp_path: Any) -> None:
    """Whatever the file, the toy model's lists are the stock pipeline's."""
    path = tmp_path / "picture"
    path.write_bytes(data)
    reference = stock(toy._model, toy._phrases._tokenizer)
    found = search(toy, [data], [PHRASES], 0.1)[0]
    assert found
    assert_same(found, reference(str(path), list(PHRASES), threshold=0.1))


def overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """Return the IoU."""
    width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (areas - width * height)


def test_the_toy_detects(toy: OwlEngine) -> None:
    """The bundled model finds both shapes where they are, and nothing that is not there."""
    asked = ("red square", "blue circle", "dog", "zebra", "green triangle")
    found = search(toy, [encoded(shapes())], [asked], 0.45)[0]
    best = {one.phrase: one for one in reversed(found)}
    assert set(best) == {"red square", "blue circle"}
    for phrase, truth in (("red square", RED_SQUARE), ("blue circle", BLUE_CIRCLE)):
        one = best[phrase]
        assert overlap((one.xmin, one.ymin, one.xmax, one.ymax), truth) > 0.75


def test_each_image_has_its_own_threshold(toy: OwlEngine) -> None:
    """In one batch a higher threshold keeps fewer of the same detections."""
    picture = decode(encoded(shapes()))
    pixels = toy.prepare(picture.rgb)
    asks = [Ask(("red square",), picture.frame, threshold) for threshold in (0.05, 0.5, 1.0)]
    many, few, none = toy.detect([pixels] * 3, asks)
    assert len(many) > len(few) > 0 == len(none)
    assert [round(d.score, 5) for d in many[: len(few)]] == [round(d.score, 5) for d in few]


def test_long_phrases_are_cut_with_a_note(toy: OwlEngine) -> None:
    """The pipeline fails above 16 tokens; here the phrase is cut, and the note says so."""
    long = "a photo of a red square that lies somewhere on a very dark and rather empty ground"
    found = search(toy, [encoded(shapes())], [(long, "red square")], 0.4)[0]
    assert any(one.phrase == "red square" for one in found)
    notes = toy.notes((long, "red square"))
    assert len(notes) == 1 and "the model reads 16" in notes[0]


def test_notes_stay_short_however_long_the_prompt(toy: OwlEngine) -> None:
    """They are kept with every sample: a few phrases by their beginning, the others by number."""
    phrases = tuple(f"{number} {'very ' * 400}red square" for number in range(200))
    search(toy, [encoded(shapes())], [phrases], 0.4)
    notes = toy.notes(phrases)
    assert notes[-1] == "So it was of 197 more." and sum(map(len, notes)) < 700


def test_one_pixel_is_searched(toy: OwlEngine) -> None:
    """The smallest image gives an answer, however empty."""
    found = search(toy, [encoded(Image.new("RGB", (1, 1)))], [("red square",)], 0.6)
    assert len(found) == 1


def test_half_precision_of_the_tower_moves_nothing(toy: OwlEngine) -> None:
    """A tower in bfloat16 still finds the same objects; the heads stay float32."""
    from labelbus_detector.loading import load_engine

    half = load_engine("toy", device="cpu", dtype="bfloat16")
    exact = search(toy, [encoded(shapes())], [("red square",)], 0.5)[0]
    rough = search(half, [encoded(shapes())], [("red square",)], 0.45)[0]
    assert overlap(*[(d.xmin, d.ymin, d.xmax, d.ymax) for d in (exact[0], rough[0])]) > 0.9


def test_lost_numbers_are_no_empty_image() -> None:
    """Where half precision overflows the job stops with the setting to change; it finds not just nothing."""
    model, tokenizer = tiny("owlv2")
    with torch.no_grad():
        model.layer_norm.bias[0] = float("inf")
    for dtype, remedy in ((torch.bfloat16, "LABELBUS_DETECTOR_DTYPE=float32"), (torch.float32, "damaged")):
        engine = OwlEngine(copy.deepcopy(model), tokenizer, dtype=dtype)
        with pytest.raises(RetryLater, match=remedy) as caught:
            search(engine, [encoded(shapes())], [("red square",)], 0.1)
        assert caught.value.scope == "job"


def test_batches_fit_the_device(toy: OwlEngine) -> None:
    """Small models are batched on a CPU."""
    assert toy.batch_size == 8
