from pathlib import Path

import pytest

from wyoming_qwen3.core.checkpoints import Size
from wyoming_qwen3.core.hardware import GB, Hardware, available_memory, choose_size, uses


@pytest.mark.parametrize(
    ("kind", "free", "size"),
    [("cpu", 64 * GB, "0.6B"), ("cuda", 4 * GB, "0.6B"), ("cuda", 8 * GB, "1.7B"), ("cuda", 0, "0.6B")],
)
def test_auto_takes_the_large_size_only_on_a_roomy_gpu(kind: str, free: int, size: Size) -> None:
    assert choose_size(Hardware(kind, free)) == size


@pytest.mark.parametrize(
    ("gpu", "memory", "possible"),
    [
        (None, 3 * GB, [False, False, True]),
        (None, 2 * GB, [False, False, False]),
        (4 * GB, 16 * GB, [False, True, True]),
        (24 * GB, 2 * GB, [True, True, False]),
    ],
)
def test_what_a_machine_can_run(gpu: int | None, memory: int, possible: list[bool]) -> None:
    assert [use.possible for use in uses(gpu, memory)] == possible


@pytest.mark.parametrize(("limit", "free"), [(None, 8 << 20), ("max", 8 << 20), (str(5 << 20), 3 << 20), ("1", 0)])
def test_available_memory_is_the_machines_within_the_containers_limit(
    tmp_path: Path, limit: str | None, free: int
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit + "\n")
        (tmp_path / "memory.current").write_text(f"{2 << 20}\n")
    assert available_memory(tmp_path, tmp_path) == free
