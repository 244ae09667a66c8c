"""The check of a GPU, tried on a CPU: all of its steps, what becomes of one that fails or hangs, and the table."""

import contextlib
import io
import json
import sys
from pathlib import Path

import pytest

from bench.gpu import runner
from bench.gpu.__main__ import STEPS, main
from bench.gpu.found import Finder, Found, Run, read
from bench.gpu.runner import LIMITS, run_all
from bench.gpu.table import to_markdown

TINY = ["--device", "cpu", "--sizes", "tiny", "--frames", "5"]


def test_each_step_has_a_limit_and_all_are_done_in_the_time_that_is_said() -> None:
    assert list(STEPS) == list(LIMITS)
    assert all(limit <= 200 for limit in LIMITS.values())


@pytest.mark.slow
def test_all_steps_pass_on_a_cpu(tmp_path: Path) -> None:
    """But for what needs a GPU, which says so."""
    with contextlib.redirect_stdout(io.StringIO()) as written:
        code = main([*TINY, "--out", str(tmp_path), "--seconds", "3000"])
    results = json.loads((tmp_path / "results.json").read_text())
    assert {step: found["error"] for step, found in results.items() if found["error"]} == {}
    assert {name for found in results.values() for name, passed in found["checks"].items() if not passed} == set()
    assert code == 0
    assert list(results) == list(STEPS)
    assert [step for step, found in results.items() if found["skipped"]] == ["fused", "faster"]
    assert written.getvalue() == (tmp_path / "table.md").read_text()
    assert all(results[step]["checks"] for step in ("environment", "capture", "parity", "codec", "beside", "stock"))
    assert {"tiny, audio s per s", "tiny, us, talker, 1 x 256"} <= set(results["timing"]["figures"])
    assert "talker, 1 x 256" in (tmp_path / "profile.txt").read_text()


def test_a_step_that_fails_or_hangs_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without weights to load one fails, and one that gets no time to speak of is ended where it is."""
    monkeypatch.setattr(runner, "LIMITS", {"codec": 200.0, "parity": 0.1, "environment": 200.0, "stock": 1.0})
    monkeypatch.setattr(runner, "_TOO_LITTLE", 0.05)
    run = Run("cpu", ("tiny",), tmp_path / "nowhere", tmp_path, 5)
    results = run_all(run, ["codec", "parity", "environment"], 1000, lambda _: None)
    assert results["codec"].error
    assert results["codec"].error.startswith("ModelFailed: The speech tokenizer could not be loaded")
    assert results["parity"].error == "It was still running after 0 s; see log.txt."
    assert results["environment"].passed
    assert results["environment"].checks == {"the device is chosen": True}
    assert json.loads((tmp_path / "results.json").read_text())["environment"]["error"] is None
    assert "Traceback" in (tmp_path / "log.txt").read_text()


def test_a_step_for_which_no_time_is_left_is_skipped(tmp_path: Path) -> None:
    run = Run("cpu", ("tiny",), tmp_path, tmp_path, 5)
    assert run_all(run, ["environment"], 0, lambda _: None)["environment"].skipped == "no time was left"


def test_what_a_step_found_is_kept_when_its_process_is_lost(tmp_path: Path) -> None:
    finder = Finder(tmp_path / "found.json")
    with contextlib.redirect_stdout(io.StringIO()):
        finder.keep("size", 3)
        finder.check("it speaks", passed=True, value="yes")
        finder.check("it sings", passed=False)
    found = read(tmp_path / "found.json")
    assert found == Found({"it speaks": True, "it sings": False}, {"size": 3, "it speaks": "yes"})
    assert not found.passed
    assert read(tmp_path / "other.json") == Found()


def test_the_table_says_what_failed() -> None:
    text = to_markdown(
        {
            "one": Found({"a": True, "b": True}, {"speed": 1.5, "both": {"x": 1, "y": 2}}, took_s=3.4),
            "two": Found({"a": True, "b | c": False}),
            "three": Found(error="It ended with -11; see log.txt."),
            "four": Found(skipped="no time was left"),
        }
    )
    assert text.splitlines()[2:6] == [
        "| one | passed (2 checks) | 3 |",
        "| two | FAILED: b \\| c | 0 |",
        "| three | FAILED: It ended with -11; see log.txt. | 0 |",
        "| four | skipped: no time was left | 0 |",
    ]
    assert text.splitlines()[-2:] == ["| one | speed | 1.5 |", "| one | both | x 1, y 2 |"]


@pytest.mark.parametrize("arguments", [["--sizes", "2B"], ["--steps", "dance"], ["--device", "tpu"]])
def test_options_that_are_none_are_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with pytest.raises(SystemExit):
        main(arguments)
