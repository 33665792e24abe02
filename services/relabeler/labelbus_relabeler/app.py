"""Each labeler as a process on Kafka: `faststream run labelbus_relabeler.app:relabel`.

`labelbus start labeler NAME` does the same for any labeler that is installed.
"""

from labelbus_labeling.app import kafka_app
from labelbus_runtime.kafka import AsgiApp

import labelbus_relabeler

_NAMES = frozenset({"detect_llm", "images", "relabel", "validate"})


def __getattr__(name: str) -> AsgiApp:
    """Make the app of one labeler when it is looked up: each process runs one."""
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return kafka_app(getattr(labelbus_relabeler, name)())
