"""compose.yaml and the Dockerfiles name what exists."""

import re
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from labelbus_cli.main import app
from typer.testing import CliRunner

_SED = re.compile(r"^RUN (sed -n .*) > constraints\.txt$", re.MULTILINE)
_PIN = re.compile(r"^([A-Za-z0-9._-]+==[^\s;\\]+)", re.MULTILINE)
_OURS = ("labelbus", "python")


@pytest.fixture(scope="module")
def services(root: Path) -> dict[str, dict[str, Any]]:
    """Return the services of compose.yaml, its merges done."""
    parsed: dict[str, Any] = yaml.safe_load((root / "compose.yaml").read_text())
    found: dict[str, dict[str, Any]] = parsed["services"]
    return found


@pytest.fixture(scope="module")
def dockerfiles(root: Path) -> list[Path]:
    """Return every Dockerfile that installs the pinned packages."""
    found = [root / "Dockerfile", *sorted(root.glob("blocks/*/Dockerfile"))]
    return [path for path in found if "requirements.lock" in path.read_text()]


def test_every_command_exists_with_its_options(
    services: dict[str, dict[str, Any]], reference: ModuleType
) -> None:
    """What a container runs is a command of ours, and every option stands in its help."""
    paths = set(reference.command_paths())
    ran = [one["command"] for one in services.values() if one.get("command", [""])[0] == "labelbus"]
    assert len(ran) >= 5
    for command in ran:
        words = tuple(command[1:]) if command[1:2] != ["--help"] else ()
        path = max((path for path in paths if words[: len(path)] == path), key=len)
        help_ = CliRunner().invoke(app, [*path, "--help"]).output
        assert path or command[1:] == ["--help"], command
        assert [word for word in words if word.startswith("--") and word not in help_] == []


def test_every_variable_is_read_by_a_settings_model(
    services: dict[str, dict[str, Any]], reference: ModuleType
) -> None:
    """No service is given a variable that nothing reads."""
    ours = [one for one in services.values() if one.get("command", [""])[0] in _OURS]
    given = {name for one in ours for name in one.get("environment", {})}
    assert {"KAFKA_BOOTSTRAP_SERVERS", "LABELBUS_DATABASE_URL"} <= given
    assert sorted(given - set(reference.variables())) == []


def test_services_that_depend_on_each_other_exist(services: dict[str, dict[str, Any]]) -> None:
    """What is waited for is a service, and one with a health check where health is waited for."""
    for one in services.values():
        for name, how in one.get("depends_on", {}).items():
            assert name in services
            assert how["condition"] != "service_healthy" or "healthcheck" in services[name]


def test_volumes_belong_to_the_user_of_the_image(root: Path, services: dict[str, dict[str, Any]]) -> None:
    """A volume takes its owner from the folder in the image; one that is not there would be root's."""
    made = re.search(r"install -d -o labelbus (.+)$", (root / "Dockerfile").read_text(), re.MULTILINE)
    ours = [one for one in services.values() if str(one.get("image", "")).startswith("labelbus")]
    mounted = {volume.split(":")[1] for one in ours for volume in one.get("volumes", ())}
    assert made
    assert mounted
    assert mounted <= set(made[1].split())


def test_constraints_keep_every_pin(root: Path, dockerfiles: list[Path]) -> None:
    """The sed of a Dockerfile turns the lock into constraints without losing a package."""
    pins = set(_PIN.findall((root / "requirements.lock").read_text()))
    assert len(pins) > 50
    for path in dockerfiles:
        sed = _SED.search(path.read_text())
        assert sed, path
        kept = subprocess.run(
            ["bash", "-c", sed[1]], cwd=root, capture_output=True, text=True, check=True
        ).stdout
        assert set(_PIN.findall(kept)) == pins, path
        assert "\\" not in kept


def test_images_get_every_member_that_the_command_line_needs(root: Path, dockerfiles: list[Path]) -> None:
    """An image with the command line installs all members it imports: they are on no package index."""
    needed = _members_of(root, "labelbus", set())
    for path in dockerfiles:
        text = path.read_text()
        lacks = [name for name in needed if not _installs(text, root, _folder(root, name))]
        assert lacks == [], path


def _members_of(root: Path, name: str, seen: set[str]) -> set[str]:
    """Return the members that a member depends on, itself included, extras left out."""
    seen.add(name)
    parsed = tomllib.loads((_folder(root, name) / "pyproject.toml").read_text())
    for requirement in parsed["project"].get("dependencies", []):
        other = re.split(r"[\[>=<;~ ]", requirement)[0]
        if other.startswith("labelbus") and other not in seen:
            _members_of(root, other, seen)
    return seen


def _folder(root: Path, name: str) -> Path:
    short = name.removeprefix("labelbus-")
    places = ("cli" if name == "labelbus" else short, f"libs/{short}", f"services/{short}")
    return next(root / place for place in places if (root / place / "pyproject.toml").exists())


def _installs(text: str, root: Path, folder: Path) -> bool:
    place = folder.relative_to(root)
    return bool(re.search(rf'[ "]\./({place}|{place.parent}/\*)["\[$ \n]', text))
