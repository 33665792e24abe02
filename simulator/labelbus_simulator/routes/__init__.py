"""Studio's routes, by subject; `table` joins them."""

from labelbus_simulator.call import RouteTable
from labelbus_simulator.routes import (
    actions,
    batch,
    classify,
    control,
    ingestion,
    jobs,
    projects,
    reading,
    writing,
)


def table() -> RouteTable:
    """Every route of the simulator, with the control API."""
    joined = RouteTable()
    for module in (projects, reading, writing, batch, actions, jobs, classify, ingestion, control):
        joined.include(module.routes)
    return joined
