"""Keep `blocks/` true to the labelers, and make folders of it that can be pushed.

    python tools/blocks/blocks.py write            # Dockerfile, .dockerignore, parameters.json of every block
    python tools/blocks/blocks.py bundle audio .blocks/audio

`edge-impulse-blocks push` sends the folder in which it runs and nothing else, and builds its Dockerfile: a
bundle is such a folder, with the sources that the Dockerfile copies.
"""

import shutil
import sys
import tomllib
from pathlib import Path
from string import Template
from typing import Final

from labelbus_cli.block_form import form
from labelbus_labeling.registry import installed

ROOT: Final = Path(__file__).resolve().parents[2]
TEMPLATE: Final = Path(__file__).parent / "Dockerfile.template"
COPIED: Final = ("requirements.lock", "contracts", "libs", "services", "cli")
"""What the Dockerfile copies into an image."""
_LEFT_OUT: Final = ("__pycache__", "*.pyc", "*.egg-info", "build", "dist", "training", ".*_cache")
_IGNORED: Final = (".git", ".venv", ".demo", ".kafka", ".blocks", "**/__pycache__", ".*_cache", "tests")
_NOTES: Final = {
    "owl-vit": "# EXTRA= (empty) leaves torch out: then the block needs BEAM_ENDPOINT, a detector elsewhere.",
    "audio": "# EXTRA= (empty) leaves torch out: then the block needs HF_INFERENCE_ENDPOINT or HF_API_KEY.",
}


def names(root: Path = ROOT) -> list[str]:
    """Return the blocks: the labelers that have a folder."""
    return sorted(folder.name for folder in (root / "blocks").iterdir() if (folder / "README.md").exists())


def files(name: str) -> dict[str, str]:
    """Return what is generated of a block, by file name."""
    member = _member(name)
    project = tomllib.loads((member / "pyproject.toml").read_text())["project"]
    extra = "torch" if "torch" in project.get("optional-dependencies", {}) else ""
    dockerfile = Template(TEMPLATE.read_text()).substitute(
        name=name, note=_NOTES.get(name, ""), extra=extra, member=member.relative_to(ROOT)
    )
    ignored = (*_IGNORED, "benchmarks", "docs")
    return {
        "Dockerfile": dockerfile.replace("\n\nFROM", "\nFROM"),
        ".dockerignore": "\n".join(ignored) + "\n",
        "parameters.json": form(installed()[name]),
    }


def bundle(name: str, folder: Path) -> None:
    """Make a folder that `edge-impulse-blocks push` can send; a block id that it keeps there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in COPIED:
        source, target = ROOT / part, folder / part
        if source.is_file():
            shutil.copyfile(source, target)
            continue
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    for file, text in files(name).items():
        (folder / file).write_text(text)


def write() -> None:
    """Write what is generated of every block."""
    for name in names():
        for file, text in files(name).items():
            (ROOT / "blocks" / name / file).write_text(text)


def _member(name: str) -> Path:
    """Return the folder of the workspace member whose entry point a labeler is."""
    for path in sorted((ROOT / "services").glob("*/pyproject.toml")):
        points = tomllib.loads(path.read_text())["project"].get("entry-points", {})
        if name in points.get("labelbus.labelers", {}):
            return path.parent
    raise SystemExit(f"No service registers the labeler '{name}'. Blocks: {', '.join(names())}.")


def main(arguments: list[str]) -> None:
    """Run one command."""
    match arguments:
        case ["write"]:
            write()
        case ["bundle", name, folder]:
            if name not in names():
                raise SystemExit(f"There is no block '{name}'. Choose one of: {', '.join(names())}.")
            bundle(name, Path(folder))
            print(f"{folder} is ready: run `edge-impulse-blocks init` there once, and then `push`.")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
