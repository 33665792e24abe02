"""What every message has: a kind, a fixed id, and the ids that a dead letter is answered by."""

from functools import lru_cache

from labelbus_contracts.ids import MessageId
from labelbus_contracts.model import Frozen


class Message(Frozen):
    """The base of commands and events. `kind` is fixed by each class and names it on the wire.

    A message's `id` is fixed by what it says (`kind:job:run:sample:step:attempt`): the same row always
    implies the same id, so a repetition is recognised.
    """

    kind: str
    id: MessageId

    def routing(self) -> dict[str, str]:
        """Return the ids that travel in the headers, so that even an unreadable body can be answered."""
        values = self.__dict__
        return {name: str(values[name]) for name in _routing_names(type(self))}


@lru_cache
def _routing_names(model: type[Message]) -> tuple[str, ...]:
    names = ("job_id", "run", "project_id", "sample_id", "step", "attempt")
    return tuple(name for name in names if name in model.model_fields)


def message_id(kind: str, *parts: object) -> MessageId:
    """Join a kind and what identifies the message into its fixed id."""
    return MessageId(":".join([kind, *map(str, parts)]))
