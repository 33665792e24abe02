"""Image tokens follow the published rules."""

import pytest
from labelbus_labeling.paid import image_tokens
from labelbus_labeling.paid.image_tokens import Detail

LUNA = "gpt-6-luna"
PUBLISHED: list[tuple[str, int, int, Detail, int]] = [
    ("gpt-4o", 1024, 1024, "high", 765),
    ("gpt-4o", 2048, 4096, "high", 1105),
    ("gpt-4o", 9, 9, "low", 85),
    ("gpt-4o", 128, 64, "high", 255),
    ("gpt-4o-2024-08-06", 4096, 8192, "low", 85),
    ("gpt-6", 1024, 1024, "auto", 1229),
]
MEASURED = [  # width, height, auto, high: gpt-6
    (256, 256, 77, 77),
    (512, 512, 308, 308),
    (768, 768, 692, 692),
    (1024, 1024, 1229, 1229),
    (1280, 720, 1104, 1104),
    (1920, 1080, 2448, 2448),
    (2560, 1440, 4320, 2931),
    (3840, 2160, 9792, 2931),
    (4032, 3024, 14364, 2942),
]


@pytest.mark.parametrize(("model", "width", "height", "detail", "tokens"), PUBLISHED)
def test_published_figures(model: str, width: int, height: int, detail: Detail, tokens: int) -> None:
    """The examples of the provider's documentation come out exactly."""
    assert image_tokens(model, width, height, detail) == tokens


@pytest.mark.parametrize(("width", "height", "auto", "high"), MEASURED)
def test_measured_figures(width: int, height: int, auto: int, high: int) -> None:
    """Published measurements of patch models come out exactly, at both details."""
    assert image_tokens(LUNA, width, height, "auto") == auto
    assert image_tokens(LUNA, width, height, "high") == high


@pytest.mark.parametrize(("width", "height", "patches"), [(1800, 2400, 1452), (1024, 1024, 1024)])
def test_patch_limit(width: int, height: int, patches: int) -> None:
    """An image with too many patches is shrunk to whole ones: both documented examples."""
    assert image_tokens("gpt-5-mini", width, height, "high") == -(-patches * 162 // 100)


def test_unknown_model_is_safe() -> None:
    """A model that no rule is known for counts at least as much as any patch model."""
    assert image_tokens("new-model", 512, 512) >= image_tokens(LUNA, 512, 512)


def test_longest_family_wins() -> None:
    """A mini model is not billed as its large sibling."""
    assert image_tokens("gpt-4o-mini-2024-07-18", 9, 9, "low") == 2833


def test_no_pixels() -> None:
    """An image without pixels is a mistake of the caller."""
    with pytest.raises(ValueError, match="0 \\* 9 pixels"):
        image_tokens(LUNA, 0, 9)


@pytest.mark.parametrize("model", ["gpt-5.4-mini", "gpt-5.6-luna", "gpt-6.1-terra", "mystery"])
def test_a_version_of_which_nothing_is_known_counts_at_the_safe_rate(model: str) -> None:
    """It is not taken for the version before it: the estimate must be the worst case."""
    known = max(image_tokens(name, 1024, 1024, "auto") for name in ("gpt-5", "gpt-5-nano", "gpt-6"))
    assert image_tokens(model, 1024, 1024, "auto") >= known
