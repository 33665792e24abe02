"""Which samples a block works on where Studio names none, as the official ones choose; which are split."""

from labelbus_contracts.jobs import DataFilter
from labelbus_labeling.labeler import LabelerParameters

from labelbus_relabeler.parameters import ImagesParameters


def frames_per_second(parameters: LabelerParameters) -> int | None:
    """Return into how many frames per second `images` has videos split; None where it leaves them alone."""
    if isinstance(parameters, ImagesParameters) and parameters.auto_convert_videos:
        return parameters.extract_frames_per_second
    return None


def unlabeled(parameters: LabelerParameters) -> DataFilter:
    """Choose the images without a label, and such videos where they are split."""
    if frames_per_second(parameters) is None:
        return DataFilter(which="unlabeled", kinds=("image",))
    return DataFilter(which="unlabeled", kinds=("image", "video"))


def with_boxes(parameters: LabelerParameters) -> DataFilter:
    """Choose the enabled images that have a box at least."""
    return DataFilter(which="enabled", kinds=("image",), labeled=True)
