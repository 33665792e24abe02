"""What a block may ask of the proxying Studio that it does not get.

WriteRefusal           the block is answered an error of Studio's shape, and the sample or the run fails
├── BadWrite           the body is not what Studio takes; concerns one sample
└── Overreach          a write that Labelbus does not do for a block, or not to that sample
"""

from typing import ClassVar


class WriteRefusal(Exception):
    """A write that is not made. The text names what was tried."""

    status: ClassVar[int] = 400
    """HTTP's, for the block."""


class BadWrite(WriteRefusal):
    """The body is not what Studio takes."""


class Overreach(WriteRefusal):
    """A block sets labels, metadata and the disabled flag of its samples; this is something else."""

    status = 403
