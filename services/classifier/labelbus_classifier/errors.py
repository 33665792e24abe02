"""What goes wrong in the classifier before any image is looked at.

ValueError
└── KeepListError   the list of boxes to keep cannot be read, with the entry
"""


class KeepListError(ValueError):
    """A list of boxes to keep that cannot be read; the text names the entry."""
