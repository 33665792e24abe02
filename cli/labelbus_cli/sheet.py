"""Draw many labelled pictures into one: a grid with boxes, labels and scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labelbus_contracts.labels import BoundingBox, LabelSet
from PIL import Image, ImageDraw, ImageFont

from labelbus_cli.pictures import Picture, colour

_GAP = 8
_PAPER = (24, 26, 31)
_INK = (236, 238, 242)
_CAPTION_PX = 20


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture of the sheet with what is said of it."""

    picture: Picture
    labels: LabelSet
    caption: str


def draw_sheet(cells: Sequence[Cell], *, columns: int = 6, cell_px: int = 220) -> Image.Image:
    """Return the grid. Pictures keep their proportions; each is at most `cell_px` wide and high."""
    columns = max(1, min(columns, len(cells) or 1))
    rows = max(1, math.ceil(len(cells) / columns))
    step_x, step_y = cell_px + _GAP, cell_px + _CAPTION_PX + _GAP
    sheet = Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), _PAPER)
    for at, cell in enumerate(cells):
        left, top = _GAP + at % columns * step_x, _GAP + at // columns * step_y
        image = labelled(cell, cell_px)
        sheet.paste(image, (left + (cell_px - image.width) // 2, top + (cell_px - image.height) // 2))
        draw = ImageDraw.Draw(sheet)
        draw.text((left, top + cell_px + 3), _caption(cell), fill=_INK, font=_font(12))
    return sheet


def labelled(cell: Cell, widest: int) -> Image.Image:
    """Return one picture scaled to `widest`, with its boxes drawn."""
    picture = cell.picture
    factor = widest / max(picture.image.size)
    size = (max(1, round(picture.image.width * factor)), max(1, round(picture.image.height * factor)))
    image = picture.image.resize(size, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    scale = (image.width / picture.frame_width, image.height / picture.frame_height)
    for box in cell.labels.boxes:
        _draw_box(draw, box, scale, image.width)
    return image


def _draw_box(draw: ImageDraw.ImageDraw, box: BoundingBox, scale: tuple[float, float], most: int) -> None:
    left, top = box.x * scale[0], box.y * scale[1]
    right, bottom = (box.x + box.width) * scale[0], (box.y + box.height) * scale[1]
    ink = colour(box.label)
    draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=ink, width=2)
    text = box.label if box.score is None else f"{box.label} {box.score:.2f}"
    font = _font(11)
    tag = draw.textbbox((0, 0), text, font=font)
    height = tag[3] - tag[1] + 4
    above = top - height if top >= height else top
    begin = max(0.0, min(left, most - tag[2] - 6))
    draw.rectangle((begin, above, begin + tag[2] + 6, above + height), fill=ink)
    draw.text((begin + 3, above + 1 - tag[1]), text, fill=(255, 255, 255), font=font)


def _caption(cell: Cell) -> str:
    label = f" · {cell.labels.label.label}" if cell.labels.label and cell.labels.label.label else ""
    return (cell.caption + label)[:36]


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
