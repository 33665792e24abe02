"""What the simulator refuses.

SimulatorError
├── Refused            the API answers success:false with this text
│   └── NotAllowed     the key is wrong, dead or may not do this (status 401 where options say so)
└── ConnectionDropped  a fault cut the connection; only an in-process (ASGI) caller ever sees it
"""


class SimulatorError(Exception):
    """Anything raised on purpose by the simulator."""


class Refused(SimulatorError):
    """The request can not be done; the text travels as `error` of the envelope."""


class NotAllowed(Refused):
    """The API key is unknown, dead, or of too small a role."""


class ConnectionDropped(SimulatorError, ConnectionResetError):
    """The connection ended without an answer, on request of a fault."""
