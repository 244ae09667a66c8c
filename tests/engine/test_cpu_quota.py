"""How many threads fit into the quota that a container or a service manager has set."""

from pathlib import Path

import pytest

from wyoming_qwen3.engine.cpu_quota import usable_threads


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        pytest.param("0::/\n", {}, 8, id="no quota"),
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, 8, id="v2, none"),
        pytest.param("0::/\n", {"cpu.max": "200000 100000\n"}, 2, id="v2, a container's"),
        pytest.param("0::/\n", {"cpu.max": "150000 100000\n"}, 1, id="v2, one and a half"),
        pytest.param("0::/\n", {"cpu.max": "20000 100000\n"}, 1, id="v2, a fifth"),
        pytest.param("0::/\n", {"cpu.max": "1600000 100000\n"}, 8, id="v2, more than there are"),
        pytest.param(
            "0::/system.slice/tts.service\n",
            {"system.slice/tts.service/cpu.max": "max 100000\n", "system.slice/cpu.max": "300000 100000\n"},
            3,
            id="v2, of a parent",
        ),
        pytest.param("0::/not/there\n", {"cpu.max": "400000 100000\n"}, 4, id="v2, a host's path"),
        pytest.param(
            "5:cpu,cpuacct:/docker/1\n0::/\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "200000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
            2,
            id="v1",
        ),
        pytest.param(
            "5:cpu:/\n",
            {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
            8,
            id="v1, none",
        ),
        pytest.param(
            "5:cpuset:/\n",
            {"cpuset/cpu.cfs_quota_us": "100000\n", "cpuset/cpu.cfs_period_us": "100000\n"},
            8,
            id="v1, of another controller",
        ),
        pytest.param("0::/\n", {"cpu.max": "nonsense"}, 8, id="unreadable"),
        pytest.param(None, {"cpu.max": "100000 100000\n"}, 8, id="not Linux"),
    ],
)
def test_threads_that_can_run_all_the_time(
    tmp_path: Path, groups: str | None, files: dict[str, str], expected: int
) -> None:
    if groups is not None:
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / "self" / "cgroup").write_text(groups)
    for name, text in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert usable_threads(8, tmp_path / "proc", tmp_path / "cgroup") == expected


def test_this_machine() -> None:
    assert 1 <= usable_threads(4) <= 4
