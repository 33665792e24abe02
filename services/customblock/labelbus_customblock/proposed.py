"""What a block proposed so far, as Studio's preview lists it."""

from labelbus_studio.proposals import ProposedChanges

from labelbus_customblock.overlay import Json, Overlay


def proposals(overlay: Overlay) -> list[Json]:
    """Return one row for each sample with a proposal."""
    return [
        {
            "sampleId": number,
            "step": 0,
            "proposedChanges": ProposedChanges(
                label=one.proposed.label,
                is_disabled=one.proposed.disabled,
                boxes=one.proposed.boxes,
                metadata=one.proposed.metadata,
                ranges=one.proposed.ranges,
            ).body(),
        }
        for number, one in overlay.samples.items()
        if one.proposed is not None
    ]
