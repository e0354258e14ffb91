"""What pytest gets from choreo: fixtures and markers, for whoever asks for them.

pytest loads this for every run wherever choreo is installed, so that nothing is imported here which
a fixture could import when it is asked for, and nothing changes for a test that asks for nothing.
"""

from collections.abc import Callable
from importlib import import_module

import pytest

SEEDS = 3
"""Runs under trouble of a test with the marker ``choreo`` that does not say how many."""
KNOWN = pytest.StashKey[dict[tuple[str, int], object]]()
MARKER = (
    "choreo(duplicates=0.0, reorder=0.0, delay=0.0, crash=0, stages=(), seeds=3): run the test in "
    "peace and under trouble, and compare what its worlds led to; it makes them with choreo_world."
)

SIMULATION = (
    "choreo_simulation(seeds=100, first=0, climate=None, jobs=1): the worlds of choreo_simulate, "
    "which the test calls with services, a scenario and invariants."
)


@pytest.fixture
def choreo_seed() -> int | None:
    """Return the seed of this run's trouble; None in peace, and for tests without the marker."""
    return None


@pytest.fixture
def choreo_world(request: pytest.FixtureRequest, choreo_seed: int | None) -> Callable[..., object]:
    """Return Harness, with which a test makes a world of its services."""
    made: Callable[..., object] = import_module("choreo.testing.harness").Harness
    marker = request.node.get_closest_marker("choreo")
    if marker is not None:
        trials = import_module("choreo.testing.trials")
        name, known = request.node.nodeid.partition("[")[0], request.config.stash[KNOWN]
        made = trials.worlds(name, marker.kwargs, choreo_seed, known)
    return made


@pytest.fixture
def choreo_simulate(request: pytest.FixtureRequest) -> Callable[..., object]:
    """Return simulate, under the seeds that the marker ``choreo_simulation`` names."""
    marker = request.node.get_closest_marker("choreo_simulation")
    module = import_module("choreo.testing.simulation.marker")
    seeds: int | None = request.config.getoption("--choreo-seeds")
    made: Callable[..., object] = module.simulating({} if marker is None else marker.kwargs, seeds)
    return made


@pytest.fixture
def for_each_contract_sample(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return what calls a check with every sample of events and holds them to their contracts."""
    try:
        module = import_module("choreo.testing.contract_samples")
    except ModuleNotFoundError as error:
        pytest.fail(f"for_each_contract_sample needs choreo[test]: {error}", pytrace=False)
    write = request.config.getoption("--choreo-samples") == "write"
    made: Callable[..., None] = module.ContractSamples(write=write)
    return made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a marked test in peace, and once for each seed of trouble."""
    marker = metafunc.definition.get_closest_marker("choreo")
    if marker is None:
        return
    if "choreo_world" not in metafunc.fixturenames:
        raise pytest.UsageError(
            f"{metafunc.definition.nodeid}: the marker 'choreo' makes trouble in worlds of "
            "choreo_world; ask for that fixture, and make the world with it"
        )
    seeds = range(1, int(marker.kwargs.get("seeds", SEEDS)) + 1)
    names = ["peace", *(f"seed {seed}" for seed in seeds)]
    metafunc.parametrize("choreo_seed", [None, *seeds], ids=names)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a project say whose lock is kept, and a run ask for it."""
    parser.addini("choreo_services", "Services whose lock is kept: module:attribute.", "linelist")
    parser.addini("choreo_lock", "File of the lock.", default="choreo.lock")
    group = parser.getgroup("choreo")
    group.addoption(
        "--choreo-samples",
        choices=("write",),
        help="Write golden samples of events beside their contracts, where there are none.",
    )
    group.addoption(
        "--choreo-seeds",
        type=int,
        help="Seeds of every test that simulates, in place of those it names.",
    )
    group.addoption(
        "--choreo-lock",
        choices=("write", "check"),
        help="Write what services emit, take and read to their lock, or compare it.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, and have somebody look on where a lock is asked for."""
    config.addinivalue_line("markers", MARKER)
    config.addinivalue_line("markers", SIMULATION)
    config.stash[KNOWN] = {}
    task: str | None = config.getoption("--choreo-lock")
    if task is not None:
        module = import_module("choreo.testing.lock_recording")
        config.pluginmanager.register(module.recording(config, task), "choreo-lock")
