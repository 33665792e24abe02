"""Whether the boxes that a question lists name the shapes of its picture, as validating models judge."""

import re

from labelbus_simulator.documents import Doc
from labelbus_simulator.models.eyes import Seen, find_shapes

_CHOICES = {"valid", "invalid"}
_BOX = re.compile(r"^- (.+): x (-?\d+), y (-?\d+), width (\d+), height (\d+)$", re.MULTILINE)


def asks_for_verdict(schema: Doc) -> bool:
    """Tell whether a schema wants a verdict and its reason."""
    properties = schema.get("properties", {})
    return set(properties) == {"label", "reason"} and set(properties["label"].get("enum", ())) == _CHOICES


def verdict(text: str, picture: bytes) -> Doc:
    """Judge the boxes in a question; a picture with shapes but without boxes is invalid. Raises OSError."""
    shapes = find_shapes(picture)
    boxes = [(label, *map(int, numbers)) for label, *numbers in _BOX.findall(text)]
    for label, x, y, width, height in boxes:
        if not any(_is_inside(shape, label, x, y, width, height) for shape in shapes):
            return {"label": "invalid", "reason": f"There is no {label} at x {x}, y {y}."}
    if shapes and not boxes:
        return {"label": "invalid", "reason": f"The {shapes[0].label} has no box."}
    return {"label": "valid", "reason": f"{len(boxes)} boxes name what they hold."}


def _is_inside(shape: Seen, label: str, x: int, y: int, width: int, height: int) -> bool:
    across, down = (shape.x0 + shape.x1) / 2, (shape.y0 + shape.y1) / 2
    return shape.label == label and x <= across <= x + width and y <= down <= y + height
