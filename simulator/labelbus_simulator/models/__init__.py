"""Stand-ins for model APIs: deterministic answers, really read from the content they are sent."""

from labelbus_simulator.models.beam import beam_app
from labelbus_simulator.models.desk import Desk, Mishap, serve_model
from labelbus_simulator.models.ears import hear
from labelbus_simulator.models.eyes import Seen, answer_with_boxes, find_shapes, name_picture
from labelbus_simulator.models.huggingface import huggingface_app
from labelbus_simulator.models.openai import openai_app

__all__ = [
    "Desk",
    "Mishap",
    "Seen",
    "answer_with_boxes",
    "beam_app",
    "find_shapes",
    "hear",
    "huggingface_app",
    "name_picture",
    "openai_app",
    "serve_model",
]
