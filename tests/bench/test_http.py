"""`bench http`, end to end on tiny checkpoints."""

import contextlib
import io
import json
from pathlib import Path

from bench.__main__ import main
from bench.http import Figures, Report
from bench.report import http_to_json, http_to_text


def test_it_measures_what_equals_single_requests(models_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    with contextlib.redirect_stdout(io.StringIO()) as written:
        code = main(["http", "--models-dir", str(models_dir), "--texts", "3", "--runs", "1", "--json", str(file)])
    results = json.loads(file.read_text())
    assert code == 0
    assert set(results["gates"].values()) == {True}
    assert set(results["systems"]) == {"single", "concurrent", "batch"}
    assert results["systems"]["single"]["first_byte_ms"] > 0
    assert results["batch_gain"] == results["systems"]["single"]["wall_s"] / results["systems"]["batch"]["wall_s"]
    assert "times as fast as its texts one after the other" in written.getvalue()


def test_without_its_gates_there_are_no_figures() -> None:
    run = {"texts": 1, "runs": 1, "size": "0.6B", "checkpoints": "x"}
    report = Report({"cpu": "x"}, run, {"batch equals single": False}, {"single": Figures(1.0, 1.0, 1.0)})
    assert not report.passed
    assert "FAILED" in http_to_text(report)
    assert "first byte" not in http_to_text(report)
    assert "systems" not in json.loads(http_to_json(report))


def test_a_server_that_can_not_speak_is_one_line(tmp_path: Path) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert main(["http", "--models-dir", str(tmp_path), "--runs", "1"]) == 1
    assert said.getvalue().splitlines()[-1].startswith("bench: ")
