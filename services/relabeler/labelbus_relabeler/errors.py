"""What is wrong with an answer. It never leaves the package: asked again, then a refused sample.

LabelbusError
└── Unusable    the model's answer is not what was asked for
"""

from labelbus_runtime.errors import LabelbusError


class Unusable(LabelbusError):
    """The model's answer is not what was asked for; the text says why, as a clause: "it is empty"."""
