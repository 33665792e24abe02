"""The project's own model: impulse and classification of an uploaded image."""

import io

from PIL import Image

from labelbus_simulator.call import Call, RouteTable
from labelbus_simulator.documents import Doc
from labelbus_simulator.errors import Refused
from labelbus_simulator.multipart import read_parts

routes = RouteTable()


@routes.add("get-impulse", "GET", "/api/{project}/impulse")
def get_impulse(call: Call) -> Doc:
    """The impulse; a project without one answers success and nothing."""
    if call.project.classify is None:
        return {}
    kind = (
        "keras-object-detection"
        if call.project.labeling_method == "object_detection"
        else "keras-transfer-image"
    )
    return {
        "impulse": {
            "id": 1,
            "name": "Impulse #1",
            "type": "default",
            "inputBlocks": [{"id": 1, "type": "image", "name": "Image", "title": "Image data"}],
            "dspBlocks": [
                {
                    "id": 2,
                    "type": "image",
                    "name": "Image",
                    "axes": ["image"],
                    "title": "Image",
                    "implementationVersion": 1,
                }
            ],
            "learnBlocks": [{"id": 3, "type": kind, "name": "Model", "dsp": [2], "title": "Model"}],
            "postProcessingBlocks": [],
        }
    }


@routes.add("classify-image", "POST", "/api/{project}/classify/image")
def classify_image(call: Call) -> Doc:
    """What the model says of a picture; boxes in the unit that the options choose."""
    project = call.project
    if project.classify is None:
        raise Refused("Project does not have a trained impulse")
    image = next(
        (p.data for p in read_parts(call.headers.get("content-type", ""), call.body) if p.name == "image"),
        None,
    )
    if image is None:
        raise Refused("image is required")
    try:
        with Image.open(io.BytesIO(image)) as picture:
            width, height = picture.size
    except OSError:
        raise Refused("Could not read the image") from None
    answer = project.classify(image)
    if "boundingBoxes" in answer and call.studio.options.classify_boxes == "ratio":
        answer = {**answer, "boundingBoxes": [_ratio(box, width, height) for box in answer["boundingBoxes"]]}
    return answer


def _ratio(box: Doc, width: int, height: int) -> Doc:
    return {
        **box,
        "x": box["x"] / width,
        "y": box["y"] / height,
        "width": box["width"] / width,
        "height": box["height"] / height,
    }
