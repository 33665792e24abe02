"""Parts of a label set to calls of Studio."""

from labelbus_contracts.labels import Base, LabelPart, LabelSet, changed_parts
from labelbus_studio.client import StudioClient
from labelbus_studio.proposals import ProposedChanges


async def write_part(
    client: StudioClient, project_id: int, sample_id: int, part: LabelPart, target: LabelSet
) -> None:
    """Set one part of a sample to what the target says; one call. Raises `StudioError`."""
    match part:
        case "boxes":
            await client.set_bounding_boxes(project_id, sample_id, target.boxes)
        case "ranges":
            await client.set_structured_labels(project_id, sample_id, target.ranges)
        case "label":
            await client.edit_label(project_id, sample_id, target.label.label if target.label else "")
        case "disabled" if target.disabled:
            await client.disable(project_id, sample_id)
        case "disabled":
            await client.enable(project_id, sample_id)
        case "metadata":
            await client.set_metadata(project_id, sample_id, target.metadata)
        case "label_map":
            raise ValueError("Studio has no call that sets the label map of a sample")


def proposed_changes(base: Base, draft: LabelSet) -> ProposedChanges:
    """Return what a preview in Studio shows of a draft.

    Boxes and metadata are always whole, since a proposal replaces them and an unchanged sample is shown
    too; the other parts only where they changed. Boxes are left out where neither the sample nor its
    project is about them.
    """
    changed = changed_parts(base.labels, draft)
    about_boxes = base.sample.labeling_method == "object_detection" or base.labels.boxes or draft.boxes
    return ProposedChanges(
        label=(draft.label.label if draft.label else "") if "label" in changed else None,
        is_disabled=draft.disabled if "disabled" in changed else None,
        boxes=draft.boxes if about_boxes else None,
        metadata=draft.metadata,
        ranges=draft.ranges if "ranges" in changed else None,
    )
