"""What a Dockerfile does to make its Python, to be done outside of Docker."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recipe:
    """The first stage: what it copies from the project, and its commands that use Python, in order."""

    variables: dict[str, str]
    copied: tuple[str, ...]
    steps: tuple[str, ...]


def recipe(dockerfile: Path) -> Recipe:
    """What the file says."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", "")
    stage = text.split("\nFROM ")[1]
    variables = dict(re.findall(r'^(?:ENV|ARG) (\w+)="?([^"\n]*)"?$', stage, re.MULTILINE))
    copied = [name for line in re.findall(r"^COPY (.*)$", stage, re.MULTILINE) for name in line.split()[:-1]]
    runs = [re.sub(r"\s+", " ", run) for run in re.findall(r"^RUN (.*)$", stage, re.MULTILINE)]
    return Recipe(variables, tuple(copied), tuple(run for run in runs if "apt-get" not in run))


def settings(dockerfile: Path) -> dict[str, str]:
    """The variables of the image, which is the last stage; PATH is left out."""
    stage = dockerfile.read_text().rpartition("\nFROM ")[2].replace("\\\n", "")
    words = [word for line in re.findall(r"^ENV (.*)$", stage, re.MULTILINE) for word in shlex.split(line)]
    return {name: value for name, _, value in (word.partition("=") for word in words) if name != "PATH"}
