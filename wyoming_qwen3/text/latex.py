r"""Turns formulas in LaTeX into plain symbols, which voices read in their own language: `\frac{1}{2}` becomes `1/2`.

Formulas are between `\(` and `\)`, `\[` and `\]`, `$$` and `$$`, or `$` and `$`. A single `$` before a number is money,
unless `$`, a variable or an operator that prices do not have follows the number. Outside of such marks a few commands
with arguments are formulas, such as `\boxed{42}`, and `^\circ` is a degree sign.

Nothing is an error: an unknown command is its name, and missing arguments are empty. Does NOT know markdown.
"""

import regex

# As in markdown_units.py, each pattern is bounded, possessive and ends in a definite character or a lookahead.
_LINE = r"(?:[^\\\n$]|\\[^()\[\]\n]){1,300}+"
_LINES = r"(?:[^\\\n$]|\\[^()\[\]\n]|\\?\n(?=[^\n])){1,600}+"
_ONE_LINE_OF = r"""(?:[^\\\n$]|\\[^\n]){0,200}+(?<=[^\s\\])"""
_BRACED = r"\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]{0,60}+\}){0,100}+\}){0,200}+\}"


def _formula(end: str) -> str:
    return rf"""(?x:
    \\\((?P<formula>{_LINE})\\\)
    |\\\[(?P<formula>{_LINES})\\\]
    |(?P<formula>\\(?:(?:boxed|sqrt|text|mathrm|mathbf){_BRACED}|[dt]?frac{_BRACED}{_BRACED}))
    |\$\$(?P<formula>{_LINES})\$\$
    |\$(?P<formula>(?=[\\^_]){_ONE_LINE_OF})\$
    |(?<![\p{{L}}\p{{N}}$\\])\$(?P<formula>
        (?=\d)(?=[\d.,]{{0,15}}+(?:\$|[ ]?[\\^_=+<>]|[ac-jln-su-z][ ]?[\\^_=+<>*/-])){_ONE_LINE_OF}
        |(?=[A-Za-z][\s$^_=+*/<>()',-]|[A-Za-z]{{1,3}}[$^_=(\\]|[-+(|{{]){_ONE_LINE_OF}
    )\${end})"""


FORMULA = regex.compile(_formula(r"(?=[^\p{L}\p{N}$])"))
"""Matches a formula with its marks, in text that may be incomplete."""

FORMULA_IN_UNIT = _formula(r"(?![\p{L}\p{N}$])")
"""Matches a formula in a complete unit; its group `formula` is without the marks."""


def plain_formula(latex: str) -> str:
    """Return a formula as plain symbols, with single spaces."""
    return " ".join(_Reader(latex).read_all().split()).replace(" ,", ",")


_TOKEN = regex.compile(r"\\(?:[A-Za-z]{1,30}+\*?|.)|[{}^_&~]|\s+|.", regex.DOTALL)
_MAX_DEPTH = 20


class _Reader:
    """Reads the tokens of a formula from left to right."""

    def __init__(self, latex: str) -> None:
        self._tokens: list[str] = _TOKEN.findall(latex)
        self._tokens.reverse()
        self._depth = 0

    def read_all(self) -> str:
        """Read to the end; a closing brace without an opening one is dropped."""
        said = []
        while self._tokens:
            said.append(self._read_group())
        return "".join(said)

    def _read_group(self) -> str:
        said = []
        while self._tokens and (token := self._tokens.pop()) != "}":
            said.append(self._meaning(token))
        return "".join(said)

    def _meaning(self, token: str) -> str:
        if token == "{":
            return self._group()
        if token == "^":
            return _superscript(self._argument())
        if token == "_":
            below = self._argument().strip()
            return below if len(below) == 1 else f" {below} "
        if token[0] == "\\" and len(token) > 1:
            return self._command(token[1:].rstrip("*"))
        return " " if token in "&~\\" or token.isspace() else token

    def _group(self) -> str:
        if self._depth == _MAX_DEPTH:
            return ""
        self._depth += 1
        said = self._read_group()
        self._depth -= 1
        return said

    def _argument(self) -> str:
        while self._tokens and self._tokens[-1].isspace():
            self._tokens.pop()
        if not self._tokens or self._tokens[-1] == "}" or self._depth == _MAX_DEPTH:
            return ""
        self._depth += 1
        said = self._meaning(self._tokens.pop())
        self._depth -= 1
        return said

    def _option(self) -> str:
        """Read an argument in brackets; return "" if there is none."""
        said: list[str] = []
        if self._tokens and self._tokens[-1] == "[" and "]" in self._tokens:
            self._tokens.pop()
            while (token := self._tokens.pop()) != "]":
                said.append(token)
        return "".join(said)

    def _command(self, name: str) -> str:
        if name in _FRACTIONS:
            over, under = _operand(self._argument()), _operand(self._argument())
            return f"{over}/{under}" if under else over
        if name == "sqrt":
            root = self._option()
            return {"": "√", "3": "∛"}.get(root, f"{root}√") + _operand(self._argument())
        if name in ("begin", "end"):
            self._argument()
            return " "
        if name in _STYLES:
            return ""
        return _SYMBOLS.get(name, f" {name} " if name.isalpha() else name)


def _operand(text: str) -> str:
    text = text.strip()
    return f"({text})" if _OPERATOR.search(text) else text


def _superscript(text: str) -> str:
    text = text.strip()
    return _SUPERSCRIPTS.get(text) or (f"^{_operand(text)}" if text else "")


_OPERATOR = regex.compile(r"(?<=.)[-+*/=<>±×·÷\s]")
_SUPERSCRIPTS = {"2": "²", "3": "³", "∘": "°", "°": "°", "′": "′", "'": "′"}
_FRACTIONS = ("frac", "dfrac", "tfrac", "cfrac")
_STYLES = frozenset(
    "text textbf textit textrm textsf texttt mathrm mathbf mathit mathsf mathbb mathcal operatorname mbox boxed bm"
    " displaystyle textstyle limits left right big Big bigg Bigg bigl bigr vec hat bar overline underline tilde"
    " mathop mathbin mathrel boldsymbol cancel color nonumber".split()
)
"""Commands that change how their argument looks, not what it says."""

_SYMBOLS = {
    **dict.fromkeys([",", ";", ":", "!", " ", "quad", "qquad", "\n"], " "),
    "\\": ", ",
    **{name: f" {symbol} " for name, symbol in zip(
        "times cdot ast div pm mp leq le geq ge neq ne approx equiv sim cong propto to rightarrow leftarrow Rightarrow"
        " implies iff Leftrightarrow in notin subset subseteq cup cap land lor lt gt ll gg".split(),
        "× · * ÷ ± ∓ ≤ ≤ ≥ ≥ ≠ ≠ ≈ ≡ ~ ≅ ∝ → → ← ⇒ ⇒ ⇔ ⇔ ∈ ∉ ⊂ ⊆ ∪ ∩ ∧ ∨ < > ≪ ≫".split(),
        strict=True,
    )},
    **dict(zip(
        "circ degree prime infty sum prod int partial nabla forall exists emptyset neg angle perp parallel ldots dots"
        " cdots alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi rho"
        " sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega".split(),
        "° ° ′ ∞ ∑ ∏ ∫ ∂ ∇ ∀ ∃ ∅ ¬ ∠ ⊥ ∥ … … …"
        " α β γ δ ε ε ζ η θ θ ι κ λ μ ν ξ π ρ σ τ υ φ φ χ ψ ω Γ Δ Θ Λ Ξ Π Σ Φ Ψ Ω".split(),
        strict=True,
    )),
}  # fmt: skip
