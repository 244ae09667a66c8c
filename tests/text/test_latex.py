"""Formulas become plain symbols; malformed ones never fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import tried
from wyoming_qwen3.text.latex import plain_formula


@pytest.mark.parametrize(
    ("latex", "plain"),
    [
        (r"\frac{1}{2}", "1/2"),
        (r"\dfrac{a+b}{c} = \frac12", "(a+b)/c = 1/2"),
        (r"25^\circ\text{C}", "25°C"),
        (r"-7^{\circ} \mathrm{C}", "-7° C"),
        (r"x^2+y^{10}-z^3", "x²+y^10-z³"),
        (r"10^{-3} e^{a+b}", "10^-3 e^(a+b)"),
        (r"\sqrt{a+b} \sqrt[3]{8} \sqrt2", "√(a+b) ∛8 √2"),
        (r"\boxed{42}", "42"),
        (r"\text{speed } = 5\,\text{m/s}", "speed = 5 m/s"),
        (r"H_2O, x_{max}", "H2O, x max"),
        (r"2\pi r\approx6.28", "2π r ≈ 6.28"),
        (r"\left(\frac{x}{y}\right)^2", "(x/y)²"),
        (r"\begin{aligned} x &= 1 \\ y &= 2 \end{aligned}", "x = 1, y = 2"),
        (r"3\times4 \leq 50\% \cdot \$2", "3 × 4 ≤ 50% · $2"),
        (r"\sin\theta \unknown{x}", "sin θ unknown x"),
        (r"\frac", ""),
        (r"\frac{1}", "1"),
        ("{{}}} x ^ _", "x"),
        ("\\", ""),
        ("", ""),
    ],
)
def test_a_formula_becomes_symbols(latex: str, plain: str) -> None:
    assert plain_formula(latex) == plain


@tried(200)
@given(
    st.lists(st.sampled_from(["\\frac", "\\sqrt", "[", "]", "{", "}", "^", "_", "\\", "x", " "]), max_size=60).map(
        "".join
    )
)
def test_no_formula_fails_or_loses_a_letter(latex: str) -> None:
    assert plain_formula(latex).count("x") == latex.count("x")
    assert plain_formula("{" * 1000 + latex).count("x") == latex.count("x")


def test_deep_formulas_end() -> None:
    assert plain_formula(r"\frac" * 500) == ""
    assert plain_formula("^" * 500) == ""
    assert plain_formula("{" * 500 + "x") == "x"
