"""`bench wyoming`: its figures of chunks' times, and a whole run with a real server."""

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench import texts
from bench.__main__ import main
from bench.listening import Chunk, Stalls, p50_p95, stalls, unfairness
from bench.report import wyoming_to_json, wyoming_to_text
from bench.wyoming import Heard, Plan, Report, Round, check


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([], Stalls()),
        ([(9.0, 1.0)], Stalls()),
        ([(1.0, 0.5), (1.5, 0.5), (2.0, 0.5)], Stalls()),  # each at the last moment
        ([(1.0, 0.5), (1.0, 0.5), (2.0, 0.5)], Stalls()),  # what came early is played in its time
        ([(1.0, 0.5), (1.75, 0.5), (2.25, 0.5)], Stalls(1, 0.25)),  # a stall puts off all that follows
        ([(1.0, 0.5), (2.0, 0.5), (3.0, 0.5)], Stalls(2, 1.0)),
    ],
)
def test_playback_stalls_where_sound_comes_late(chunks: list[tuple[float, float]], expected: Stalls) -> None:
    assert stalls([Chunk(*chunk) for chunk in chunks]) == expected


def test_percentiles_and_fairness() -> None:
    assert p50_p95([3.0]) == (3.0, 3.0)
    assert p50_p95([float(value) for value in range(21)]) == (10.0, 19.0)
    assert unfairness([2.0, 2.0]) == 1.0
    assert unfairness([1.0, 3.0]) == 1.5


def test_all_texts_differ() -> None:
    assert len({texts.sentence(number) for number in range(texts.COUNT)}) == texts.COUNT
    assert len({texts.answer(number) for number in range(texts.COUNT)}) == texts.COUNT


@pytest.fixture(scope="module")
def random_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where random weights are written once."""
    return tmp_path_factory.mktemp("random")


@pytest.mark.parametrize("text", ["short", "long"])
def test_it_measures_what_each_of_some_clients_hears(text: str, random_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    options = ["--random-weights", "--size", "tiny", "--models-dir", str(random_dir)]
    options += ["--clients", "1,3", "--runs", "1", "--text", text]
    with contextlib.redirect_stdout(io.StringIO()) as written:
        code = main(["wyoming", *options, "--json", str(file)])
    results = json.loads(file.read_text())
    assert code == 0
    assert results["gates"] == {"different_texts_sound_different": True, "together_equals_alone": True}
    assert {count: figures["answers"] for count, figures in results["clients"].items()} == {"1": 1, "3": 3}
    for figures in results["clients"].values():
        assert 0 < figures["first_ms_p50"] <= figures["last_ms_p50"]
        assert 1 <= figures["worst_by_mean"] <= 3
        assert figures["audio_s_per_s"] > 0
        assert figures["audio_s"] > (1 if text == "short" else 4)
    if text == "short":
        overhead = results["overhead"]
        assert overhead["added_ms"] == overhead["tcp_ms"] - overhead["engine_ms"]
        assert "more (p50)" in written.getvalue()
    else:
        assert "overhead" not in results


def test_gates_see_sound_that_depends_on_company_or_not_on_text() -> None:
    plan = Plan(None, True, "tiny", "cpu", "int8", (1, 2), "short", 1)
    one, same, other = (
        Heard([Chunk(0.1, 0.1)], np.array(samples, "<i2").tobytes(), 0.2)
        for samples in ([900, -900], [901, -900], [900, 0])
    )
    gates = {"different_texts_sound_different": True, "together_equals_alone": True}
    assert check(plan, one, [Round([same, other], 0.0)]) == gates
    assert check(plan, one, [Round([other, one], 0.0)]) == gates | {"together_equals_alone": False}
    assert check(plan, one, [Round([one, one], 0.0)]) == gates | {"different_texts_sound_different": False}
    exact = replace(plan, quantize="none")  # matrix products round by the number of rows
    assert check(exact, one, [Round([other, one], 0.0)]) == {"different_texts_sound_different": True}


def test_without_its_gates_there_are_no_figures() -> None:
    run = {"weights": "x", "device": "cpu", "quantize": "int8", "text": "short", "runs": 1}
    report = Report({"cpu": "x"}, run, {"together_equals_alone": False}, {})
    assert "FAILED" in wyoming_to_text(report)
    assert "first chunk" not in wyoming_to_text(report)
    assert "clients" not in json.loads(wyoming_to_json(report))


def test_a_server_that_can_not_speak_is_one_line(tmp_path: Path) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert main(["wyoming", "--models-dir", str(tmp_path), "--clients", "2"]) == 1
    assert said.getvalue().splitlines()[-1].startswith("bench: ")


@pytest.mark.parametrize(
    "options",
    [[], *(["--random-weights", *option] for option in (["--clients", "0"], ["--clients", "1,65"], ["--text", "x"]))],
)
def test_bad_options_are_refused(options: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["wyoming", *options])
    assert caught.value.code == 2
