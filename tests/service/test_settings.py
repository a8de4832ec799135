"""Settings: few, checked, frozen; and how many threads they stand for."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.cpu_budget import granted_threads
from service.settings import Settings


@pytest.mark.parametrize(
    "wrong",
    [{"port": -1}, {"port": 65536}, {"threads": -1}, {"log_level": "loud"}, {"max_queued_ms": 0}, {"colour": "red"}],
    ids=str,
)
def test_a_wrong_setting_is_refused(wrong: dict[str, object]) -> None:
    """Out of range, misspelt, unknown."""
    with pytest.raises(ValidationError):
        Settings(**wrong)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its `KEMBAR_` variable; what is given in code wins."""
    monkeypatch.setenv("KEMBAR_PORT", "9999")
    monkeypatch.setenv("KEMBAR_DATA_DIR", "/elsewhere")
    settings = Settings(port=1234)
    assert (settings.port, settings.data_dir) == (1234, Path("/elsewhere"))


def test_settings_are_few_and_described() -> None:
    """At most fifteen, each with the sentence that the command shows."""
    assert len(Settings.model_fields) <= 15
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(("quota", "threads"), [("150000 100000", 1), ("50000 100000", 1), ("100000 100000", 1)])
def test_threads_are_what_the_control_group_grants(tmp_path: Path, quota: str, threads: int) -> None:
    """A quota below the number of processors counts, rounded down, at least one."""
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert granted_threads(tmp_path / "cpu.max") == threads


@pytest.mark.parametrize("quota", ["max 100000", "nonsense", None])
def test_threads_without_a_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str | None) -> None:
    """Without a quota the processors that the process may run on count."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    if quota is not None:
        (tmp_path / "cpu.max").write_text(quota)
    assert granted_threads(tmp_path / "cpu.max") == 3
