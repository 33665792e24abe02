"""Edge Impulse Studio over HTTP, in memory, with faults on request; stand-ins for model APIs in `models`."""

from labelbus_simulator.clips import Segment
from labelbus_simulator.dataset import Dataset
from labelbus_simulator.errors import ConnectionDropped, NotAllowed, Refused, SimulatorError
from labelbus_simulator.faults import Fault
from labelbus_simulator.jobs import Action, Job
from labelbus_simulator.options import SimulatorOptions
from labelbus_simulator.project import Project
from labelbus_simulator.sample import Sample
from labelbus_simulator.server import serve, serve_app
from labelbus_simulator.shapes import Shape, draw_scene
from labelbus_simulator.studio import Studio
from labelbus_simulator.web import StudioApp

__all__ = [
    "Action",
    "ConnectionDropped",
    "Dataset",
    "Fault",
    "Job",
    "NotAllowed",
    "Project",
    "Refused",
    "Sample",
    "Segment",
    "Shape",
    "SimulatorError",
    "SimulatorOptions",
    "Studio",
    "StudioApp",
    "draw_scene",
    "serve",
    "serve_app",
]
