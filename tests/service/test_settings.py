"""Where a service's options come from, and what is taken for a slip."""

from typing import get_type_hints

import pytest

from choreo import ConfigurationError, Service, Settings
from choreo.options import Options


def test_settings_come_from_arguments_then_environment_then_pyproject(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text(
        '[tool.choreo]\nbroker = "kafka://toml:1"\nprefetch = 7\nconcurrency = 5\ndrain = 3.5\n'
    )
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CHOREO_PREFETCH", "8")
    monkeypatch.setenv("CHOREO_BROKER", "mqtt://env:1")
    monkeypatch.setenv("CHOREO_GRACE", "2")
    monkeypatch.setenv("CHOREO_DEADLINE", "PT1M")

    settings = Service("shop", broker="memory://argument").settings()

    assert settings.broker == "memory://argument"
    assert settings.prefetch == 8
    assert settings.concurrency == 5
    assert settings.drain.total_seconds() == 3.5
    assert settings.grace.total_seconds() == 2
    assert settings.deadline.total_seconds() == 60


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("CHOREO_BROKR", "CHOREO_BROKER"),
        ("CHOREO_CREATE_TOPIC", "CHOREO_CREATE_TOPICS"),
        ("CHOREO_MAXSPAN", "CHOREO_MAX_SPAN"),
        ("choreo_broker", "CHOREO_BROKER"),
    ],
)
def test_a_variable_that_is_an_option_but_for_a_slip_is_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, meant: str
) -> None:
    monkeypatch.setenv(variable, "1")

    with pytest.raises(ConfigurationError, match=f"{variable} is no option: {meant} is meant"):
        Service("shop").settings()


@pytest.mark.parametrize(
    "variable",
    [
        "CHOREO_TEST_KAFKA",
        "CHOREO_FAILPOINT",
        "CHOREO_STORM_SEED",
        "CHOREO_PORT",
        "CHOREO_BROKER_SERVICE_HOST",  # as Kubernetes sets it for a service named choreo-broker
    ],
)
def test_a_variable_of_others_is_left_alone(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")

    assert Service("shop").settings().broker == "memory://"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[tool]\nchoreo = 3\n", "tool.choreo is no table"),
        (b"[tool.choreo\n", "is not valid TOML"),
        (b'[tool.choreo]\nbroker = "\xff"\n', "is not valid TOML"),
        (b"[[tool.choreo]]\n", "tool.choreo is no table"),
    ],
)
def test_a_pyproject_that_cannot_be_read_is_named(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    text: bytes,
    says: str,
) -> None:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_bytes(text)
    monkeypatch.chdir(folder)

    with pytest.raises(ConfigurationError, match=says) as refused:
        Service("shop").settings()

    assert str(folder / "pyproject.toml") in str(refused.value)


def test_a_tool_that_is_no_table_holds_no_options(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pyproject.toml").write_text("tool = 3\n")
    monkeypatch.chdir(folder)

    settings = Service("shop").settings()

    assert settings.broker == "memory://"


def test_type_checkers_know_every_option() -> None:
    parameters = {"broker", "store"}  # of Service itself

    assert get_type_hints(Options).keys() == Settings.model_fields.keys() - parameters
