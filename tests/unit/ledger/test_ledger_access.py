"""Every fault of Studio means something to the runtime, and keys are handed to clients only."""

import httpx
import pytest
from labelbus_contracts.ids import ProjectId, SampleId, SecretName
from labelbus_ledger.access import StudioAccess, as_runtime_error
from labelbus_ledger.engine import Ledger
from labelbus_ledger.secrets import SecretStore
from labelbus_runtime.errors import RetryLater, SampleRefused
from labelbus_studio import StudioClients, errors
from labelbus_studio.settings import StudioSettings

_SEVEN, _SAMPLE = ProjectId(7), SampleId(42)


@pytest.mark.parametrize(
    ("error", "code", "scope"),
    [
        (errors.StudioUnavailable("away", 9.0), "studio_unavailable", "sample"),
        (errors.StudioConfused("a page"), "studio_confused", "sample"),
        (errors.KeyRefused("no"), "key", "job"),
        (errors.SampleNotFound("no"), "gone", None),
        (errors.StudioRefused("no"), "studio_refused", None),
        (errors.StudioRefused("elsewhere", 302), "endpoint", "job"),
        (errors.StudioError("new"), "studio_confused", "sample"),
    ],
)
def test_meanings(error: errors.StudioError, code: str, scope: str | None) -> None:
    """What may pass is tried again, what cannot refuses the sample; a bad key or address concerns the job."""
    meaning = as_runtime_error(error, project_id=_SEVEN, sample_id=_SAMPLE)
    assert meaning.code == code
    assert (meaning.scope if isinstance(meaning, RetryLater) else None) == scope


def test_every_error_is_mapped() -> None:
    """Every class of Studio's errors is covered by the table above, also new ones."""
    kinds = {one for one in vars(errors).values() if isinstance(one, type)}
    for kind in kinds:
        assert isinstance(
            as_runtime_error(kind("x"), project_id=_SEVEN, sample_id=_SAMPLE), RetryLater | SampleRefused
        )


def test_retry_after() -> None:
    """Studio's word on when to come back is passed on."""
    meaning = as_runtime_error(errors.StudioUnavailable("away", 9.0), project_id=ProjectId(7))
    assert isinstance(meaning, RetryLater)
    assert meaning.after_s == 9.0


async def test_client(ledger: Ledger) -> None:
    """Samples of one key share one client; a missing secret concerns the whole job."""
    transport = httpx.MockTransport(lambda request: httpx.Response(500))
    clients = StudioClients(StudioSettings(endpoint="http://studio.test/v1"), transport=transport)
    secrets = SecretStore(ledger, allow_env=True, keys=None, environ={"EI_KEY": "ei_1"})
    access = StudioAccess(clients, secrets)
    one = await access.client(ProjectId(7), SecretName("env:EI_KEY"))
    assert one is await access.client(ProjectId(7), SecretName("env:EI_KEY"))
    with pytest.raises(RetryLater) as caught:
        await access.client(ProjectId(7), SecretName("ledger:none"))
    assert (caught.value.scope, caught.value.code) == ("job", "key")
    await clients.aclose()
