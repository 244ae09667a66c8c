"""How busy other programs keep the processor."""

from wyoming_qwen3.engine.cpu_load import CpuTimes


def test_what_this_process_took_is_not_the_others() -> None:
    """Fields are user, nice, system, idle, waiting for a disk, two kinds of interrupts, and stolen."""
    before = CpuTimes.of([10, 0, 2, 100, 5, 0, 0, 1], own=4)
    after = CpuTimes.of([16, 0, 3, 109, 6, 0, 1, 3], own=8)
    assert after.total - before.total == 20
    assert after.others_since(before) == (6 + 1 + 1 + 2 - 4) / 20


def test_without_times_nothing_is_known_of_others() -> None:
    assert CpuTimes(0, 0, 0).others_since(CpuTimes(0, 0, 0)) == 0
    assert CpuTimes(9, 1, 5).others_since(CpuTimes(0, 0, 0)) == 0


def test_the_times_of_this_machine_go_on() -> None:
    before, after = CpuTimes.now(), CpuTimes.now()
    assert after.total >= before.total
    assert 0 <= after.others_since(before) <= 1
