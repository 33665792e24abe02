"""The client of a cluster's HTTP API, and the faults that it waits out or names."""

import json

import httpx
import pytest
from labelbus_cli.block_arguments import read_arguments
from labelbus_cli.block_job import BlockJob
from labelbus_cli.choice import Choice
from labelbus_cli.cluster_address import Address
from labelbus_cli.cluster_api import ClusterApi
from labelbus_cli.errors import BadInput, CommandError, KeptElsewhere, NotThere
from labelbus_cli.labelers import labeler
from labelbus_dispatcher.api_models import KeptJob
from pydantic import SecretStr

FACTS = {"version": "0.1.0", "labelers": {"owl-vit": 8}, "seals": True}
PROBLEM = {"Content-Type": "application/problem+json"}


class Server(httpx.AsyncBaseTransport):
    """Gives prepared answers, one after another, the last one for ever; an exception is raised."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def api(server: Server, said: list[str], *, patience_s: float = 5.0) -> ClusterApi:
    """Return a client of it."""
    where = Address("http://cluster.test", SecretStr("lb_token"))
    return ClusterApi(where, patience_s=patience_s, say=said.append, transport=server)


async def test_an_outage_is_waited_out() -> None:
    """A refused connection and a broker that is away pass; people are told once of each change."""
    away = httpx.Response(503, json={"detail": "Kafka is away."}, headers={**PROBLEM, "Retry-After": "0"})
    said: list[str] = []
    server = Server(httpx.ConnectError("refused"), away, httpx.Response(200, json=FACTS))
    async with api(server, said) as client:
        assert (await client.cluster()).labelers == {"owl-vit": 8}
    assert len(server.requests) == 3
    assert [line.partition(":")[0] for line in said] == ["http", "http"]
    assert said[1] == "http://cluster.test answers again"


async def test_adding_up_a_big_job_gets_its_time() -> None:
    """Such an answer is waited for much longer than another, and not asked for again meanwhile."""
    server = Server(httpx.Response(404, json={"detail": "There is no job."}, headers=PROBLEM))
    async with api(server, []) as client:
        for question in (client.ending("job"), client.facts("job", pictures=1)):
            with pytest.raises(NotThere):
                await question
        assert await client.job("job") is None
    *long, short = (one.extensions["timeout"] for one in server.requests)
    assert [one["read"] >= 10 * short["read"] for one in long] == [True, True]
    assert {one["connect"] for one in (*long, short)} == {short["connect"]}


async def test_an_outage_that_lasts_ends_in_an_error() -> None:
    """It names the address and the variable."""
    async with api(Server(httpx.ConnectTimeout("no answer")), [], patience_s=0.3) as client:
        with pytest.raises(CommandError, match=r"does not answer: no answer.*LABELBUS_URL"):
            await client.cluster()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(200, json={"hello": "world"}), "does not understand"),
        (httpx.Response(200, text="<html>"), "does not understand"),
        (httpx.Response(404, text="Not Found"), "older than this one"),
        (httpx.Response(404, json={"detail": "Not Found"}, headers=PROBLEM), "older than this one"),
        (httpx.Response(401, json={"detail": "no"}, headers=PROBLEM), "refuses the token"),
        (httpx.Response(422, json={"detail": "body.mark: Extra"}, headers=PROBLEM), "update the older"),
        (
            httpx.Response(501, json={"detail": "LABELBUS_SECRET_KEYS is not set"}, headers=PROBLEM),
            "SECRET_KEYS",
        ),
        (httpx.Response(500, text="Internal Server Error"), "answers 500"),
    ],
)
async def test_a_wrong_answer_is_named(answer: httpx.Response, said: str) -> None:
    """Another server, another version, a wrong token: each at once, with what to do."""
    server = Server(answer)
    async with api(server, []) as client:
        with pytest.raises(CommandError, match=said):
            await client.cluster()
    assert len(server.requests) == 1


async def test_an_equal_run_is_told_from_other_conflicts() -> None:
    """With how long to wait."""
    body = {"detail": "Job x is kept by an equal run."}
    kept = httpx.Response(409, json=body, headers={**PROBLEM, "Retry-After": "17"})
    async with api(Server(kept), []) as client:
        new = KeptJob.model_validate(
            {
                "project_id": 1,
                "secret": "s",
                "mark": "m",
                "action": {"name": "a", "steps": [{"labeler": "b"}]},
            }
        )
        with pytest.raises(KeptElsewhere) as refused:
            await client.begin("a" * 32, new)
    assert refused.value.after_s == 17


def pretrained(*arguments: str, ids: tuple[int, ...] = (3, 1)) -> BlockJob:
    """Return what a block run wants."""
    registration = labeler("pretrained")
    given = read_arguments(["--data-ids-file", "ids.json", *arguments], registration)
    return BlockJob(registration, given, Choice(ids), 5.0)


def test_a_key_travels_by_name_only() -> None:
    """The official argument's key becomes a secret of this run; the job names it."""
    wanted = pretrained("--source-project-api-key", "ei_source")
    [(name, key)] = wanted.keys().items()
    assert (wanted.keeper in name, key.get_secret_value()) == (True, "ei_source")
    parameters = wanted.parameters(wanted.keeper)
    assert parameters["source_secret"] == f"ledger:{name}"
    assert "ei_source" not in json.dumps(parameters) + wanted.mark


def test_equal_runs_have_equal_marks() -> None:
    """Whatever their keys and Studio's job; other samples or parameters make another run."""
    one = pretrained("--source-project-api-key", "ei_one", "--propose-actions", "41")
    assert (
        one.mark
        == pretrained("--source-project-api-key", "ei_two", "--propose-actions", "42", ids=(1, 3)).mark
    )
    assert one.keeper != pretrained("--source-project-api-key", "ei_one").keeper
    assert one.mark != pretrained("--source-project-api-key", "ei_one", ids=(1, 2)).mark
    assert one.mark != pretrained("--source-project-api-key", "ledger:mine").mark


def test_a_key_of_the_containers_environment_is_refused() -> None:
    """The cluster does not have it; a secret of the cluster's ledger is taken as it is."""
    wanted = pretrained("--source-project-api-key", "env:SOURCE")
    with pytest.raises(BadInput, match=r"env:SOURCE.*the cluster does not.*labelbus secrets put"):
        wanted.parameters(wanted.keeper)
    assert pretrained("--source-project-api-key", "ledger:mine").keys() == {}
