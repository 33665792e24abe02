"""How a block is started: its words, its environment and its ids file, as Edge Impulse Studio gives them."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from labelbus_contracts.ids import ProjectId, SampleId

from labelbus_customblock.parameters import CustomBlockParameters, Value, secret_of

PREVIEW_JOB: Final = 1
"""The Studio job that blocks are told to propose to. It exists in the proxying Studio alone."""
_INHERITED: Final = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "HTTP_PROXY", "HTTPS_PROXY",
    "http_proxy", "https_proxy", "NO_PROXY", "no_proxy", "CUDA_VISIBLE_DEVICES", "HF_HOME", "DOCKER_HOST",
)  # fmt: skip
_LOOPBACK: Final = "127.0.0.1,localhost"


def words(parameters: CustomBlockParameters, scratch: Path, secrets: Mapping[str, str]) -> list[str]:
    """Return the command line. Values of several lines are handed over as Studio does.

    An argument `{secret:NAME}` becomes that secret, as Studio writes the key of a chosen project.
    """
    line = [word.replace("{scratch}", str(scratch)) for word in parameters.command]
    for name, value in parameters.arguments.items():
        line += _argument(name, secrets[asked] if (asked := secret_of(value)) else value)
    line += ["--data-ids-file", str(scratch / "ids.json")]
    return [*line, "--propose-actions", str(PREVIEW_JOB)] if parameters.propose else line


def write_ids(parameters: CustomBlockParameters, scratch: Path, ids: Iterable[SampleId]) -> None:
    """Write the ids file, for any user of this machine: containers have users of their own."""
    scratch.chmod(0o755)
    listed = [int(one) for one in ids]
    content = listed if parameters.ids_form == "list" else {"ids": listed}
    (scratch / "ids.json").write_text(json.dumps(content))
    (scratch / "ids.json").chmod(0o644)


def environment(
    parameters: CustomBlockParameters,
    own: Mapping[str, str],
    *,
    secrets: Mapping[str, str],
    project_id: ProjectId,
    endpoint: str,
    token: str,
) -> dict[str, str]:
    """Return the block's environment. Of this process's it gets nothing that could be a secret.

    `endpoint` is the proxying Studio's, `token` the key that opens it.
    """
    inherited = {name: own[name] for name in _INHERITED if name in own}
    for name in ("NO_PROXY", "no_proxy"):
        inherited[name] = ",".join(filter(None, (inherited.get(name), _LOOPBACK)))
    host = endpoint.removeprefix("http://").partition("/")[0]
    studio = {
        "EI_API_ENDPOINT": endpoint,
        "EI_INGESTION_HOST": host,
        "EI_PROJECT_API_KEY": token,
        "EI_PROJECT_ID": str(project_id),
    }
    return {**inherited, "PYTHONUNBUFFERED": "1", **parameters.environment, **secrets, **studio}


def _argument(name: str, value: Value) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}"] if value else []
    text = value if isinstance(value, str) else json.dumps(value)
    return [f"--{name}", text.replace("\r\n", "\n").replace("\n", "\\n")]
