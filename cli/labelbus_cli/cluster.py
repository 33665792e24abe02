"""Reach a cluster: by Kafka, or by the dispatcher's HTTP API where LABELBUS_URL names it."""

from collections.abc import Mapping, Sequence

from labelbus_contracts.ids import JobId, SecretName
from labelbus_contracts.jobs import ActionSpec
from labelbus_contracts.v1.commands import AddSamples, CancelJob, PauseJob, ResumeJob, SubmitJob
from labelbus_contracts.v1.message import Message
from labelbus_dispatcher.api_models import Apply, MoreSamples, NewJob, Resume
from labelbus_labeling.labeler import Registration
from labelbus_runtime.settings import KafkaSettings, load

from labelbus_cli.cluster_address import address, is_given
from labelbus_cli.cluster_api import ClusterApi
from labelbus_cli.errors import BadInput
from labelbus_cli.stored_actions import Name, action_named, is_file


async def publish(messages: Sequence[Message]) -> str:
    """Send commands about one job to the cluster; return the job's id there. Raises `Unavailable`.

    The HTTP API numbers jobs itself.
    """
    if is_given():
        return await _post(messages)
    from labelbus_runtime.kafka import KafkaCarrier

    carrier = KafkaCarrier(load(KafkaSettings), source="cli")
    await carrier.start()
    try:
        await carrier.publish(messages)
    finally:
        await carrier.stop()
    return str(getattr(messages[0], "job_id", ""))


async def action_there(text: str, labelers: Mapping[str, Registration]) -> ActionSpec:
    """Return the action of a file, or one that is stored where jobs are submitted to. Raises `BadInput`."""
    if not is_given() or is_file(text):
        return await action_named(text, labelers)
    name = Name.parse(text)
    async with ClusterApi(address()) as api:
        return await api.action(name.name, name.revision)


def secret_there(text: str) -> SecretName:
    """Return the name of a key that a cluster finds. Raises `BadInput`."""
    if not text.startswith("ledger:"):
        raise BadInput("A cluster finds keys in the ledger only. Store one with `labelbus secrets put NAME`.")
    return SecretName(text)


async def create_topics(labelers: Sequence[str]) -> None:
    """Create the topics that a cluster needs, those of the given labelers included."""
    from labelbus_contracts.topics import FIXED_TOPICS, label_topic
    from labelbus_runtime.kafka import KafkaCarrier

    carrier = KafkaCarrier(load(KafkaSettings), source="cli")
    await carrier.create_topics([*FIXED_TOPICS, *map(label_topic, labelers)])


async def _post(messages: Sequence[Message]) -> str:
    async with ClusterApi(address()) as api:
        job_id = await _ask(api, messages[0])
        for more in messages[1:]:
            if not isinstance(more, AddSamples):
                raise ValueError(f"{more.kind} does not follow another command")
            await api.add_samples(job_id, MoreSamples(ids=more.ids, last=more.last))
        return job_id


async def _ask(api: ClusterApi, message: Message) -> JobId:
    match message:
        case SubmitJob(source_job_id=str(preview)):
            how = Apply(on_conflict=message.on_conflict, secret=message.secret)
            return await api.apply(preview, how, key=message.job_id)
        case SubmitJob():
            new = NewJob.model_validate(message.model_dump(include=set(NewJob.model_fields)))
            return await api.submit(new, key=message.job_id)
        case CancelJob():
            await api.cancel(message.job_id, message.reason)
        case PauseJob():
            await api.pause(message.job_id)
        case ResumeJob():
            how_on = Resume(retry_failed=message.retry_failed, budget_usd=message.budget_usd)
            await api.resume(message.job_id, how_on)
        case _:
            raise ValueError(f"the HTTP API has no route for {message.kind}")
    return message.job_id
