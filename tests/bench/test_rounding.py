"""`bench rounding`: the errors of products in 8 and 4 bits, by formats."""

import pytest
import torch

from bench import rounding


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "_SHAPE", (64, 512))
    monkeypatch.setattr(rounding, "_TOKENS", 16)


def test_ours_is_nearest_of_all_in_4_bits() -> None:
    errors = rounding.measure()
    for row in (*errors.weights.values(), errors.activations["massive outliers"]):
        assert row["ours int4"] < 1.03 * row["Q4_K"] < 0.95 * row["Q4_0"]
    for row in errors.activations.values():
        assert row["ours int8"] < 0.3 * row["ours int4"]
    assert errors.kurtosis["Gaussian"] < 4 < errors.kurtosis["scale mixture"] < errors.kurtosis["outlier columns"]
    text = rounding.to_text(errors)
    assert f"{100 * errors.weights['Gaussian']['Q4_K']:.2f}" in text
    assert len({line.count("|") for line in text.splitlines() if line.startswith("|")}) == 2


def test_outliers_are_a_thousandth_and_a_thousand_times_the_median() -> None:
    x = torch.randn(1000, 100, generator=torch.Generator().manual_seed(3))
    wide = rounding.with_outliers(x)
    changed = wide != x
    assert 50 < changed.sum() < 200
    assert torch.allclose(wide[changed].abs(), 1000 * x.abs().median())
