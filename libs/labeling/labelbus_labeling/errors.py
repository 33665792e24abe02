"""What goes wrong before a sample is touched.

LabelbusError
└── SettingsError
    ├── UnknownLabeler     no installed package brings a labeler of that name
    └── WrongParameters    a labeler's parameters are unknown, missing or out of range
"""

from labelbus_runtime.errors import SettingsError


class UnknownLabeler(SettingsError):
    """No installed package brings a labeler of that name."""


class WrongParameters(SettingsError):
    """A labeler's parameters are unknown, missing or out of range; the text names each."""
