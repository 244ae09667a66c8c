"""`bench vllm`, end to end with a real server before a source."""

import contextlib
import io
import json
from pathlib import Path

from bench.__main__ import main
from bench.report import vllm_to_json, vllm_to_text
from bench.vllm import Report


def test_it_measures_what_the_hop_adds(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    options = ("--requests", "2", "--streams", "2", "--seconds", "1", "--pace", "4", "--json", str(file))
    with contextlib.redirect_stdout(io.StringIO()) as written:
        code = main(["vllm", *options])
    results = json.loads(file.read_text())
    assert code == 0
    assert set(results["gates"].values()) == {True}
    direct, ours = (results["latency"][name]["p50"] for name in ("direct", "through ours"))
    assert results["added_ms"] == ours - direct > 0
    assert all(load["audio_s_per_s"] > 0 for load in results["load"].values())
    assert "the first sound is" in written.getvalue()


def test_without_its_gates_there_are_no_figures() -> None:
    run = {"requests": 1, "streams": 1, "seconds": 1.0, "chunk_frames": 4, "pace": 1.0}
    report = Report({"cpu": "x"}, run, {"bytes equal the source's": False}, {}, {})
    assert "FAILED" in vllm_to_text(report)
    assert "first sound" not in vllm_to_text(report)
    assert "load" not in json.loads(vllm_to_json(report))
