"""The custom block service: any program of Edge Impulse's AI labeling block interface labels as a step."""

from collections.abc import Mapping

from labelbus_labeling.labeler import Labeler, Registration

from labelbus_customblock.parameters import MOST_SAMPLES, CustomBlockParameters


def registration() -> Registration:
    """Register `custom-block`. Samples gather for a moment, because starting a block may be expensive.

    A batch, and what waits behind it, should be done before a dispatcher sends samples again (900 s).
    """
    return Registration(
        name="custom-block",
        title="A custom AI labeling block",
        operates_on=frozenset({"other"}),
        parameters=CustomBlockParameters,
        make=_make,
        capacity=16,
        max_batch=MOST_SAMPLES,
        max_wait_s=0.3,
        timeout_s=800.0,
        linger_s=0.0,
    )


def _make(environ: Mapping[str, str]) -> Labeler:
    from labelbus_customblock.labeler import CustomBlockLabeler
    from labelbus_customblock.settings import CustomBlockSettings

    return CustomBlockLabeler(CustomBlockSettings.from_environment(environ), environ)
