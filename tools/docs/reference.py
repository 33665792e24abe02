"""Keep the generated parts of `docs/reference` true: `python tools/docs/reference.py write|check`.

A generated part stands between `<!-- generated: NAME -->` and `<!-- /generated -->`. What is generated:
the commands' help, the settings models, the topics with their messages, the keys of an action file.
"""

import importlib
import importlib.util
import inspect
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from labelbus_cli.block_arguments import options
from labelbus_contracts import jobs
from labelbus_contracts.topics import FIXED_TOPICS, Topic, label_topic
from labelbus_labeling import registry
from labelbus_labeling.labeler import Registration
from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "reference"
_PART = re.compile(r"(?<=<!-- generated: )([a-z-]+)( -->\n)(.*?)(?=<!-- /generated -->)", re.DOTALL)
_HEADS = {
    "labelbus_runtime.settings.RuntimeSettings": "Every process",
    "labelbus_ledger.settings.LedgerSettings": "Ledger",
    "labelbus_studio.settings.StudioSettings": "Studio",
    "labelbus_runtime.settings.KafkaSettings": "Kafka",
    "labelbus_dispatcher.settings.DispatcherSettings": "Dispatcher",
    "labelbus_committer.settings.CommitterSettings": "Committer",
    "labelbus_labeling.settings.LabelingSettings": "Labelers: the bytes of samples",
    "labelbus_detector.settings.DetectorSettings": "Labeler owl-vit, and `labelbus serve detector`",
    "labelbus_relabeler.settings.ProviderSettings": "Labelers relabel, images, validate and detect-llm",
    "labelbus_audio.settings.AudioSettings": "Labeler audio",
    "labelbus_customblock.settings.CustomBlockSettings": "Labeler custom-block",
}


def rendered(text: str) -> str:
    """Return a page with every generated part written anew."""
    return _PART.sub(lambda match: f"{match[1]}{match[2]}\n{PARTS[match[1]]()}\n\n", text)


def commands() -> str:
    """Return the help of every command, one section each."""
    return "\n\n".join(_section(path) for path in command_paths())


def command_paths() -> list[tuple[str, ...]]:
    """Return every command as the words behind `labelbus`, groups before what is in them."""
    return list(_walk(_root(), ()))


def settings_models() -> list[type[BaseSettings]]:
    """Return the settings models of every installed member, those of `_HEADS` first."""
    found = {_name(one): one for module in _settings_modules() for one in _models_of(module)}
    return [found[name] for name in _HEADS if name in found] + [
        one for name, one in sorted(found.items()) if name not in _HEADS
    ]


def variables() -> dict[str, tuple[type[BaseSettings], FieldInfo]]:
    """Return every environment variable that a settings model reads, with the first field that reads it."""
    all_: dict[str, tuple[type[BaseSettings], FieldInfo]] = {}
    for model in settings_models():
        for name, info in model.model_fields.items():
            all_.setdefault(_variable(model, name, info), (model, info))
    return all_


def settings() -> str:
    """Return one table per settings model."""
    by_model: dict[type[BaseSettings], list[str]] = {}
    for name, (model, info) in variables().items():
        row = f"| `{name}` | {_type(info.annotation)} | {_default(info)} | {info.description or ''} |"
        by_model.setdefault(model, []).append(row)
    head = "| variable | value | default | meaning |\n|---|---|---|---|\n"
    return "\n\n".join(f"## {_title(model)}\n\n{head}" + "\n".join(rows) for model, rows in by_model.items())


def topics() -> str:
    """Return the topics as one table."""
    head = "| topic | key | partitions | kept | producers | consumers |\n|---|---|---|---|---|---|\n"
    return head + "\n".join(_topic(topic) for topic in (label_topic("labeler"), *FIXED_TOPICS))


def messages() -> str:
    """Return the messages of every topic as one table."""
    head = "| message | topic | says |\n|---|---|---|\n"
    rows = [
        f"| `{message.__name__}` | `{_shown(topic)}` | {_first_sentence(message)} |"
        for topic in (FIXED_TOPICS[0], label_topic("labeler"), *FIXED_TOPICS[1:])
        for message in topic.messages
    ]
    return head + "\n".join(rows)


def action_keys() -> str:
    """Return the keys of an action file, one table per mapping in it."""
    return "\n\n".join(_keys(model, title) for title, model in _mappings(jobs.ActionSpec, "the file"))


def labelers() -> str:
    """Return the installed labelers as one table."""
    head = "| labeler | title | works on |\n|---|---|---|\n"
    rows = [
        f"| [`{name}`](#{name}) | {one.title} | {', '.join(registry.works_on(one))} |"
        for name, one in _labelers().items()
    ]
    rows.append("| [`merge`](#merge) | Merge of branches | what its branches work on |")
    return head + "\n".join(rows)


def parameters(labeler: str) -> str:
    """Return a labeler's parameters as one table."""
    has_block = (ROOT / "blocks" / labeler).exists()
    rows = [("parameter", "option of the block", "default", "meaning"), ("---",) * 4]
    for option, (name, info) in options(_labelers()[labeler]).items():
        rows.append((f"`{name}`", f"`{option}`", _parameter_default(info), info.description or ""))
    return "\n".join(
        f"| {' | '.join(cell for at, cell in enumerate(row) if has_block or at != 1)} |" for row in rows
    )


def _parameter_default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if isinstance(info.default, bool):
        return f"`{str(info.default).lower()}`"
    return _default(info) if info.default not in ((), {}) else ""


def _labelers() -> Mapping[str, Registration]:
    return dict(sorted(registry.installed().items()))


PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands,
    "settings": settings,
    "topics": topics,
    "messages": messages,
    "action-keys": action_keys,
    "labelers": labelers,
    **{f"parameters-{name}": partial(parameters, name) for name in registry.installed()},
}


def _root() -> Any:
    from labelbus_cli.main import app

    return typer.main.get_command(app)


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in getattr(command, "commands", {}).items():
        if not child.hidden:
            yield from _walk(child, (*path, name))


def _section(path: tuple[str, ...]) -> str:
    from labelbus_cli.main import app

    arguments = [*path, "--help"]
    shown = CliRunner().invoke(app, arguments, prog_name="labelbus", terminal_width=100, color=False).output
    lines = "\n".join(line.rstrip() for line in shown.strip().splitlines())
    level = "##" if len(path) < 2 else "###"
    return f"{level} {' '.join(('labelbus', *path))}\n\n```text\n{lines}\n```"


def _settings_modules() -> Iterator[types.ModuleType]:
    for path in sorted(ROOT.glob("*/*/labelbus_*")) + sorted(ROOT.glob("*/labelbus_*")):
        for name in ("settings", "options"):
            if (path / f"{name}.py").exists() and importlib.util.find_spec(path.name):
                yield importlib.import_module(f"{path.name}.{name}")


def _models_of(module: types.ModuleType) -> Iterator[type[BaseSettings]]:
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, BaseSettings) and value.__module__ == module.__name__:
            yield value


def _name(model: type) -> str:
    return f"{model.__module__}.{model.__name__}"


def _title(model: type) -> str:
    package = model.__module__.partition(".")[0].removeprefix("labelbus_")
    return _HEADS.get(_name(model), package.capitalize())


def _variable(model: type[BaseSettings], name: str, info: FieldInfo) -> str:
    alias = info.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    named = [one for one in choices if isinstance(one, str) and one.isupper()]
    return named[0] if named else f"{model.model_config.get('env_prefix', '')}{name}".upper()


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{one}`" for one in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return _type(next(one for one in get_args(annotation) if one is not type(None)))
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "0 or 1", "Path": "path"}
    names |= {"SecretStr": "secret"}
    return names.get(getattr(annotation, "__name__", ""), "text")


def _default(info: FieldInfo) -> str:
    if info.default_factory is not None or info.default in (None, "", PydanticUndefined):
        return ""
    value = int(info.default) if isinstance(info.default, bool) else info.default
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


class _Names:
    """Stands for any message: each of its fields is its own name."""

    def __getattr__(self, name: str) -> str:
        return name


def _topic(topic: Topic) -> str:
    cells = [
        f"`{_shown(topic)}`",
        topic.key(_Names()),  # type: ignore[arg-type]  # names instead of ids
        str(topic.partitions),
        f"{topic.retention_ms // 86_400_000} days",
        ", ".join(topic.producers),
        ", ".join("that labeler" if one == "labeler" else one for one in topic.consumers),
    ]
    return f"| {' | '.join(cells)} |"


def _shown(topic: Topic) -> str:
    return topic.name.replace(".labeler.", ".<labeler>.")


def _first_sentence(model: type) -> str:
    paragraph = (inspect.getdoc(model) or "").split("\n\n")[0].replace("\n", " ")
    return paragraph.partition(". ")[0].rstrip(".") + "."


def _mappings(model: type[BaseModel], title: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield title, model
    for name, info in model.model_fields.items():
        for nested in _models_in(info.annotation):
            yield from _mappings(nested, name)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _keys(model: type[BaseModel], title: str) -> str:
    head = f"### {'In the file' if title == 'the file' else f'In `{title}`'}\n\n"
    text = " ".join((inspect.getdoc(model) or "").split())
    table = "| key | value | default |\n|---|---|---|\n"
    fields = {name: info for name, info in model.model_fields.items() if name != "revision"}  # the ledger's
    rows = [f"| `{name}` | {_key_type(info)} | {_key_default(info)} |" for name, info in fields.items()]
    return f"{head}{text}\n\n{table}" + "\n".join(rows)


def _key_type(info: FieldInfo) -> str:
    annotation = info.annotation
    nested = list(_models_in(annotation))
    is_list = get_origin(annotation) is tuple
    if nested:
        return "list of mappings" if is_list else "mapping"
    if get_origin(annotation) is dict:
        return "mapping"
    if annotation is bool:
        return "`true` or `false`"
    if is_list:
        return "list of texts"
    return _type(annotation)


def _key_default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    value = info.get_default(call_default_factory=False)
    return f"`{value}`" if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def main(wish: str) -> int:
    """Write the pages, or check them; return the exit code."""
    stale = []
    for page in sorted(FOLDER.glob("*.md")):
        before = page.read_text()
        after = rendered(before)
        if before != after and wish == "write":
            page.write_text(after)
        elif before != after:
            stale.append(page.name)
    if stale:
        print(f"Not current: {', '.join(stale)}. Run `make docs`.")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "check"))
