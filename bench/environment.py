"""A peer's virtual environment, in the cache folder: it needs other packages than ours, or must not be among them."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wyoming_qwen3.core.errors import EngineFailed


@dataclass(frozen=True)
class Environment:
    """The environment of the peer `name`. `steps` are what pip installs, as arguments, one after the other."""

    name: str
    version: str
    steps: tuple[tuple[str, ...], ...]

    @property
    def folder(self) -> Path:
        """Where it is, or will be."""
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(caches) / "wyoming-qwen3" / f"bench-{self.name}-{self.version}"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def installed(self) -> bool:
        """Whether it is there with the pinned packages."""
        return self._stamp.exists() and self._stamp.read_text(encoding="utf-8") == self._pins

    def install(self, tell: Callable[[str], None]) -> None:
        """Make it, unless it is there. Raises EngineFailed."""
        if self.installed:
            return
        tell(f"Installing {self.name} {self.version} in {self.folder}")
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        self.run([sys.executable, "-m", "venv", "--clear", str(self.folder)], "could not be installed")
        for step in self.steps:
            self.run([*pip, *step], "could not be installed")
        self._stamp.write_text(self._pins, encoding="utf-8")

    def run(self, command: Sequence[str], failed: str, given: str = "") -> str:
        """What a command writes to standard output. It looks for no model on the network. Raises EngineFailed."""
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, env=offline_environment()
        )
        if done.returncode:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines() or [f"exit code {done.returncode}"]
            raise EngineFailed(f"{self.name} {failed}: {lines[-1].strip()}")
        return done.stdout

    @property
    def _stamp(self) -> Path:
        return self.folder / "installed.txt"

    @property
    def _pins(self) -> str:
        return "\n".join(" ".join(step) for step in self.steps)


def offline_environment() -> dict[str, str]:
    """The variables of this process, with which the hub's client contacts nobody."""
    return os.environ | {"HF_HUB_OFFLINE": "1"}
