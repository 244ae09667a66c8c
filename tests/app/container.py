"""A container as the app's image makes one: real s6 runs the services in a root and a process namespace of its own.

The programs and the network are this machine's. What s6-overlay and s6-rc add to s6 is in `services.py`, what the
scripts use of bashio in `bashio`.
"""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.app.dockerfile import settings
from tests.app.files import HEALTHCHECK, ROOT, ROOTFS

HERE = Path(__file__).parent
NEEDED = ("s6-svscan", "execlineb", "jq", "curl", "unshare", "chroot")
START_TIMEOUT = 120.0
"""Far longer than anything takes: a test that waits so long has failed."""

# https://github.com/home-assistant/docker-base, debian/Dockerfile
BASE = {"S6_BEHAVIOUR_IF_STAGE2_FAILS": "2", "S6_CMD_WAIT_FOR_SERVICES_MAXTIME": "0", "S6_CMD_WAIT_FOR_SERVICES": "1"}

_SCRIPTS = {
    "command/with-contenv": "#!/command/execlineb -S0\nemptyenv -p s6-envdir -f /run/s6/container_environment $@\n",
    "run/s6/basedir/bin/halt": "#!/bin/sh\necho > /run/shutdown\n",
    "run/service/.s6-svscan/SIGTERM": "#!/bin/sh\nexec /run/s6/basedir/bin/halt\n",
    "run/service/.s6-svscan/finish": '#!/bin/sh\nexit "$(cat /run/s6-linux-init-container-results/exitcode)"\n',
}

_OWN = {"command", "data", "etc", "proc", "run", "share"}
_ETC = ("group", "hosts", "nsswitch.conf", "ld.so.cache", "alternatives", "localtime")
_ESCAPES = re.compile(r"\x1b\[\d*m")


def missing() -> str | None:
    """What stands in the way of a container here."""
    if absent := [name for name in NEEDED if not shutil.which(name)]:
        return f"not installed: {', '.join(absent)}; script/setup --browser installs them, as root"
    probe = ("unshare", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/mnt")
    if os.geteuid() or subprocess.run(probe, check=False, capture_output=True).returncode:
        return "only root may make a container, where it may mount at all"
    return None


@dataclass
class Container:
    """A started container."""

    root: Path
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        """What it wrote so far, without colours."""
        return _ESCAPES.sub("", self.log_file.read_text(errors="replace"))

    @property
    def last_line(self) -> str:
        return self.log.rstrip().rpartition("\n")[2]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so. Fails where the container ends before that."""
        end = time.monotonic() + START_TIMEOUT
        while not condition():
            assert self.process.poll() is None, f"The container ended before {what}:\n{self.log}"
            assert time.monotonic() < end, f"Not within {START_TIMEOUT} s: {what}\n{self.log}"
            time.sleep(0.02)

    def wait_for_log(self, text: str) -> None:
        self.wait_for(lambda: text in self.log, repr(text))

    def server(self) -> psutil.Process | None:
        """The server's process, once there is one."""
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.process.pid).children(recursive=True):
                if any(part.endswith("/wyoming-qwen3") for part in process.cmdline()):
                    return process
        return None

    def terminate(self) -> None:
        """Send the SIGTERM that `docker stop` begins with."""
        (init,) = psutil.Process(self.process.pid).children()
        init.send_signal(signal.SIGTERM)

    def stop(self, when: str) -> int:
        """The exit code after a SIGTERM. How long it took is printed, for it depends on the machine."""
        begun = time.monotonic()
        self.terminate()
        code = self.ended()
        print(f"SIGTERM {when}: {time.monotonic() - begun:.1f} s")
        return code

    def ended(self) -> int:
        """The exit code, once the container has stopped. Fails where it does not stop."""
        try:
            return self.process.wait(START_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"The container does not stop:\n{self.log}") from None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(START_TIMEOUT)


@contextlib.contextmanager
def container(folder: Path, variables: Mapping[str, str], options: str | None = None) -> Iterator[Container]:
    """Start one with these variables and, as /data/options.json, these options; it is killed at the end.

    Without options that file is a pipe, and who reads it waits for somebody to write.
    """
    root = folder / "root"
    _make_root(root, {**BASE, **settings(ROOT / "Dockerfile"), **variables})
    if options is None:
        os.mkfifo(root / "data/options.json")
    else:
        (root / "data/options.json").write_text(options)
    log_file = folder / "container.log"
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", _entry(root)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    started = Container(root, process, log_file)
    try:
        yield started
    finally:
        started.kill()


def _make_root(root: Path, variables: Mapping[str, str]) -> None:
    for name in ("command", "data", "etc", "proc", "share", "run/service/.s6-svscan", "run/s6/basedir/bin"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in _ETC:
        with contextlib.suppress(FileNotFoundError):
            (shutil.copytree if Path("/etc", name).is_dir() else shutil.copy)(Path("/etc", name), root / "etc" / name)
    # The server's user is root by another name: the project's files may be readable to their owner alone.
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nqwen3:x:0:0::/tmp:/bin/sh\n")
    shutil.copytree(ROOTFS / "etc/s6-overlay", root / "etc/s6-overlay")
    for program in (*Path("/usr/bin").glob("s6-*"), *_execline()):
        (root / "command" / program.name).symlink_to(program)
    (root / "command/bashio").symlink_to(HERE / "bashio")
    for name, text in _SCRIPTS.items():
        (root / name).write_text(text)
        (root / name).chmod(0o755)
    os.mkfifo(root / "run/shutdown")
    _write(root / "run/s6-linux-init-container-results/exitcode", "0\n")
    path = ":".join(map(str, ("/command", HEALTHCHECK.parent, Path(sys.executable).parent, "/usr/bin", "/bin")))
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
    for name, value in {**kept, **variables, "PATH": path}.items():
        _write(root / "run/s6/container_environment" / name, value)


def _execline() -> list[Path]:
    listed = subprocess.run(["dpkg", "--listfiles", "execline"], capture_output=True, text=True, check=True).stdout
    return [Path(line) for line in listed.splitlines() if line.startswith("/usr/bin/")]


def _entry(root: Path) -> str:
    """What process 1 runs first: it enters the root and becomes s6-svscan."""
    lines = []
    for path in Path("/").iterdir():
        inside = root / path.name
        if path.name in _OWN:
            continue
        if path.is_symlink():
            lines.append(f"ln -s {shlex.quote(str(path.readlink()))} {shlex.quote(str(inside))}")
        elif path.is_dir():
            lines.append(f"mkdir {shlex.quote(str(inside))}; mount --rbind {path} {shlex.quote(str(inside))}")
    inner = f"{sys.executable} {HERE / 'services.py'} & exec s6-svscan /run/service"
    enter = f"exec env -i PATH=/command:/usr/bin:/bin {shutil.which('chroot')}"
    lines += [
        f"mount -t proc proc {shlex.quote(str(root / 'proc'))}",
        f"{enter} {shlex.quote(str(root))} sh -c {shlex.quote(inner)}",
    ]
    return "\n".join(lines)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
