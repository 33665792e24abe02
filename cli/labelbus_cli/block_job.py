"""What a block asks of a cluster: the job as one process would do it, with keys by name."""

import hashlib
import json
import uuid
from dataclasses import dataclass, field

from labelbus_contracts.ids import JobId, SecretName
from labelbus_dispatcher.api_models import KeptJob, NewJob
from labelbus_labeling.labeler import Registration
from labelbus_studio.project_calls import Project
from pydantic import JsonValue, SecretStr

from labelbus_cli.block_arguments import BlockArguments, extra_of, options
from labelbus_cli.choice import Choice
from labelbus_cli.errors import BadInput
from labelbus_cli.plan import Wish


@dataclass(frozen=True, slots=True)
class BlockJob:
    """What a block wants of a cluster. `keeper` is this very run's, `mark` is alike for equal runs."""

    registration: Registration
    arguments: BlockArguments
    choice: Choice
    check_after_s: float
    keeper: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def mark(self) -> str:
        """Return what equal runs have in common: everything but keys and Studio's job."""
        choice, name = self.choice, self.registration.name
        ids = None if choice.ids is None else sorted(choice.ids)
        what = [name, self.parameters("given"), ids, choice.data.model_dump(mode="json"), choice.limit]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    def parameters(self, keeper: str) -> dict[str, JsonValue]:
        """Return the parameters, keys replaced by the names of a keeper's secrets. Raises `BadInput`."""
        given: dict[str, JsonValue] = self.arguments.parameters.model_dump(mode="json", exclude_unset=True)
        for option, (name, info) in options(self.registration).items():
            if name in given and extra_of(info).get("secret"):
                given[name] = self._secret(option, name, str(given[name]), keeper)
        return given

    def keys(self) -> dict[str, SecretStr]:
        """Return the keys that came as arguments, by the name that the cluster is to keep each under."""
        fields = {
            f"LABELBUS_BLOCK_{name.upper()}": name for name in self.registration.parameters.model_fields
        }
        given = self.arguments.secrets.items()
        return {key_name(self.keeper, fields[variable]): SecretStr(key) for variable, key in given}

    def wish(self, project: Project) -> Wish:
        """Return the job as one process would do it, but for the names of keys."""
        return self.choice.wish(
            project.id,
            self.registration,
            self.parameters(self.keeper),
            studio_job_id=self.arguments.studio_job_id,
        )

    def command(self, project: Project, secret: SecretName) -> KeptJob:
        """Return the job to start; ids beyond the first 10,000 follow by the wish's `more`."""
        submit = self.wish(project).submit(JobId(""), secret, "")
        fields = submit.model_dump(include=set(NewJob.model_fields), exclude={"conflict_check_after_s"})
        return KeptJob(**fields, conflict_check_after_s=self.check_after_s, mark=self.mark)

    def _secret(self, option: str, name: str, value: str, keeper: str) -> str:
        if value.removeprefix("env:") in self.arguments.secrets:
            return f"ledger:{key_name(keeper, name)}"
        if value.startswith("env:"):
            raise BadInput(
                f"{option} is {value}, which this container knows and the cluster does not. Give the key "
                "itself, or ledger:NAME for one that `labelbus secrets put` stored on the cluster."
            )
        return value


def key_name(keeper: str, part: str) -> str:
    """Return the name of a key that a keeper brings; the cluster forgets it with the keeper."""
    return f"keeper-{keeper}-{part.replace('_', '-')}"
