"""What a rebuild of the search shows while it goes on."""

from __future__ import annotations

import pytest

from ops.cli import search


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that it is; change the first."""
    now = [1000.0]
    monkeypatch.setattr(search.time, "monotonic", lambda: now[0])
    monkeypatch.setenv("LC_ALL", "en_US.UTF-8")
    return now


def test_the_rate_is_that_since_the_first_documents_came(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = search.Progress(4000, 500)
    for second, done in ((10, 500), (20, 1000), (30, 3000)):
        clock[0] = 1000.0 + second
        progress.show(done)
    clock[0] = 1035.0
    progress.show(4000, last=True)
    assert [line.split("%")[1] for line in capsys.readouterr().out.splitlines()] == [
        ")", ")", "), 200/s, 0:05 left", "), 200/s, 0:00 left",
    ]


def test_between_two_lines_lie_ten_seconds(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    progress = search.Progress(100, 0)
    for second in range(1, 25):
        clock[0] = 1000.0 + second
        progress.show(second)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["10", "20"]


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (61, "1:01"), (3725, "1:02:05")])
def test_a_duration_is_written_as_on_a_clock(seconds: float, text: str) -> None:
    assert search.clock(seconds) == text
