"""Journeys: the command line, everything in one process, against the simulated Studio over loopback."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from labelbus_cli.testing import KEY, World
from labelbus_simulator import SimulatorOptions, Studio, serve
from labelbus_simulator.models import Desk, openai_app, serve_model

torch.set_num_threads(1)
MODEL_KEY = "sk-journey"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home of its own and the toy model; nothing of the developer's environment is seen."""
    for name in list(os.environ):
        if name.startswith(("LABELBUS_", "EI_", "BEAM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LABELBUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LABELBUS_DETECTOR_MODEL", "toy")
    monkeypatch.setenv("EI_PROJECT_API_KEY", KEY)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_world(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Return a maker of worlds; its keywords are the simulator's options."""
    open_ones = []

    def make(**options: Any) -> World:
        studio = Studio(SimulatorOptions(**options))
        project = studio.add_project("Shapes", key=KEY)
        serving = serve(studio)
        endpoint = serving.__enter__()
        open_ones.append(serving)
        monkeypatch.setenv("EI_API_ENDPOINT", endpoint)
        return World(studio, project, endpoint, home)

    yield make
    for serving in open_ones:
        serving.__exit__(None, None, None)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """Give a world with eight pictures."""
    made = make_world()
    made.add(8)
    return made


@pytest.fixture
def desk() -> Desk:
    """Give the stand-in's desk."""
    return Desk(key=MODEL_KEY)


@pytest.fixture
def model(desk: Desk, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve a vision model; labelers find it by their environment."""
    with serve_model(openai_app(desk)) as url:
        for name in ("AZURE_OPENAI_ENDPOINT", "OPENAI_REASONING_EFFORT"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", MODEL_KEY)
        monkeypatch.setenv("OPENAI_MODEL", "simulated")
        yield url
