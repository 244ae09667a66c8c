"""Launches of a frame, and what the fused kernels take of GPUs that are not here."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import main
from bench.kernel_table import TARGETS, Compiled, to_markdown
from bench.launches import LaunchCount, count_plain, launches_to_text
from tests.triton_package import environment_with_triton

ROOT = Path(__file__).resolve().parents[2]


def test_pytorchs_launches_are_counted_without_a_gpu() -> None:
    small, large = count_plain("0.6B"), count_plain("1.7B")
    assert small.talker == large.talker
    assert small.talker["linear"] == 4 * 28
    assert small.talker["mask of attention"] == 3 * 28
    assert small.predictor["sort"] == 16
    assert small.predictor["linear"] == 1 + 15 * (4 * 5 + 1)
    assert not {"view", "transpose", "select", "slice", "empty_like"} & {*small.talker, *small.predictor}
    assert 2500 < small.total < large.total < 3000
    assert f"0.6B  PyTorch's kernels {small.total:5}" in launches_to_text([("0.6B", small, None)])


def test_without_triton_the_command_counts_pytorchs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("bench.__main__.find_spec", lambda _: None)
    assert main(["kernels", "--sizes", "tiny"]) == 0
    assert main(["kernels", "--sizes", "tiny", "--compile", "sm_80"]) == 1
    written = capsys.readouterr()
    assert "PyTorch's kernels" in written.out
    assert "our kernels" not in written.out
    assert "Triton is missing" in written.err
    with pytest.raises(SystemExit):
        main(["kernels", "--compile", "sm_1"])


def test_a_table_has_a_line_for_each_shape() -> None:
    made = [Compiled(target, "project", rows, "8 to 16", 30 + rows, 0, 8 * rows) for target in "ab" for rows in (1, 2)]
    made.append(Compiled("b", "attend", 1, "16 positions in 1", 64, 4, 0))
    assert to_markdown(made).splitlines()[2:] == [
        "| `project` | 8 to 16 | 31 32 | 31 32 | 0 | 16 |",
        "| `attend` | 16 positions in 1 |  | 64 | 4 | 0 |",
    ]


@pytest.fixture(scope="module")
def outcome(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All kernels compiled for all targets, by the command."""
    file = tmp_path_factory.mktemp("kernels") / "kernels.json"
    command = [sys.executable, "-m", "bench", "kernels", "--compile", "all", "--json", str(file)]
    environment = environment_with_triton(pytestconfig)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "| `draw_residual` |" in ran.stdout
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.slow
def test_a_frame_takes_at_most_600_launches(outcome: dict[str, Any]) -> None:
    for size in ("0.6B", "1.7B"):
        plain, fused = (outcome["launches"][size][kind] for kind in ("plain", "fused"))
        assert LaunchCount(**fused).total <= 600
        assert LaunchCount(**plain).total > 2500


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_each_kernel_fits(outcome: dict[str, Any], target: str) -> None:
    made = [Compiled(**one) for one in outcome["compiled"] if one["target"] == target]
    assert len({one.name for one in made}) == 9
    assert max(one.registers for one in made) <= 255
    assert max(one.spilled for one in made) <= 16
    assert max(one.shared for one in made) <= 48 * 1024


@pytest.mark.slow
def test_the_order_of_a_sum_is_the_same_for_all_numbers_of_rows(outcome: dict[str, Any]) -> None:
    """How a sum over inputs is laid out over elements, threads and warps is all that its order depends on."""
    layouts = defaultdict(set)
    for one in (Compiled(**one) for one in outcome["compiled"]):
        for layout in one.sums if one.name in ("project", "project_gated", "add_projection") else ():
            inputs = re.match(r"\d+x\d+x(\d+) ", layout)
            assert inputs
            spread = re.findall(r"(\w+) = \[\d+, \d+, (\d+)\]", layout.split(", order")[0])
            assert [name for name, _ in spread] == ["sizePerThread", "threadsPerWarp", "warpsPerCTA"]
            layouts[one.target, one.name, one.shape].add((inputs[1], *spread))
    assert layouts
    assert all(len(found) == 1 for found in layouts.values())
