"""Compiles the CPU kernels into what is built of the project, where there is a compiler; the rest is in setup.cfg."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

# A build in isolation looks for modules in its own environment alone. What is imported here needs no other package.
sys.path.insert(0, str(Path(__file__).parent))
from wyoming_qwen3.core.errors import EngineFailed
from wyoming_qwen3.engine.kernels.build import build


class BuildKernels(build_py):
    """Compiles beside the sources' copies; an editable installation has script/setup compile beside the sources."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        try:
            build(say, self.kernels())
        except EngineFailed as error:
            say(f"{error}\nThe package is built without them: speech on a CPU is several times slower.")

    def kernels(self) -> Path:
        """The folder that they are compiled into."""
        return Path(self.build_lib, "wyoming_qwen3", "engine", "kernels")


class NameWheel(bdist_wheel):
    """Names a wheel with kernels after its platform; they are called through ctypes, so any Python 3 will do."""

    def get_tag(self) -> tuple[str, str, str]:
        self.root_is_pure = not any(self.get_finalized_command("build_py").kernels().glob("*.so"))
        tag = super().get_tag()
        return tag if self.root_is_pure else ("py3", "none", tag[2])


def say(text: str) -> None:
    """Heard with pip's -v, or where the build fails."""
    print(text, file=sys.stderr, flush=True)


setup(cmdclass={"build_py": BuildKernels, "bdist_wheel": NameWheel})
