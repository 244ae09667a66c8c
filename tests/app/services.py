"""What s6-overlay and s6-rc do with the app's services, inside the tests' container, where s6 itself is real.

Neither is packaged for Debian 12. These are their rules, as far as the app's services meet them:

- `s6-rc change` holds a lock from its beginning to its end. Every stop begins with `s6-rc -bda change`, which waits
  for that lock. https://skarnet.org/software/s6-rc/s6-rc.html
- A oneshot is up when its `up` has ended, for which is waited as long as it takes, unless there is a `timeout-up`. A
  longrun is up when its `run` has been started; where it has a `notification-fd`, when it has written to that.
- What depends on a service is started after it and stopped before it. A longrun is stopped with SIGTERM; SIGKILL
  follows after `timeout-kill` milliseconds, or never. Its `finish` is waited for, and killed after `timeout-finish`
  milliseconds, by default 5000. https://skarnet.org/software/s6/servicedir.html
- Where a service can't be started and S6_BEHAVIOUR_IF_STAGE2_FAILS is 2, as in Home Assistant's base images, the
  container is stopped. At the end of a stop all processes get SIGTERM, and SIGKILL when all of S6_KILL_GRACETIME
  has passed. https://github.com/just-containers/s6-overlay
- With an S6_VERBOSITY of 2, the default, each step is logged, and with 1 still that s6-rc's own service is not stopped.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

SOURCE = Path("/etc/s6-overlay/s6-rc.d")
LIVE = Path("/run/s6-rc/servicedirs")
SCAN = Path("/run/service")
EXIT_CODE = Path("/run/s6-linux-init-container-results/exitcode")
ENVIRONMENT = Path("/run/s6/container_environment")
SHUTDOWN = "/run/shutdown"

_changing = threading.Lock()
_up: list[str] = []


def main() -> None:
    """Start the services, and stop everything once that is asked for."""
    asked = os.open(SHUTDOWN, os.O_RDWR)
    threading.Thread(target=start, daemon=True).start()
    os.read(asked, 1)
    with _changing:  # `-b`
        for name in reversed(_up):
            stop_service(name)
        if setting("S6_VERBOSITY", 2) >= 1:
            log("warning: service s6rc-oneshot-runner is marked as essential, not stopping it")
    kill_all(signal.SIGTERM)
    time.sleep(setting("S6_KILL_GRACETIME", 3000) / 1000)
    kill_all(signal.SIGKILL)
    command("s6-svscanctl", "-b", str(SCAN))


def start() -> None:
    """Bring all services of the user up that can be, one after the other."""
    with _changing:
        for name in in_order():
            tell(name, "starting")
            if started := start_service(name):
                _up.append(name)
            tell(name, "successfully started" if started else "failed to start")
            if not started and setting("S6_BEHAVIOUR_IF_STAGE2_FAILS", 0) >= 2:
                EXIT_CODE.write_text("1\n")
                command("/run/s6/basedir/bin/halt")
                return


def in_order() -> list[str]:
    """The services of the user, each after those it depends on."""
    wanted = sorted(path.name for path in (SOURCE / "user/contents.d").iterdir())
    ordered: list[str] = []

    def add(name: str) -> None:
        for dependency in sorted((SOURCE / name / "dependencies.d").glob("*")):
            if dependency.name in wanted:
                add(dependency.name)
        if name not in ordered:
            ordered.append(name)

    for name in wanted:
        add(name)
    return ordered


def start_service(name: str) -> bool:
    """Whether it is up now."""
    if (SOURCE / name / "type").read_text().strip() == "oneshot":
        return run_oneshot(name, "up")
    live = LIVE / name
    shutil.copytree(SOURCE / name, live)
    (live / "down").touch()
    (SCAN / name).symlink_to(live)
    command("s6-svscanctl", "-a", str(SCAN))
    while command("s6-svok", str(live)) or not (live / "supervise/status").exists():
        time.sleep(0.01)
    (live / "down").unlink()
    event = "-uwU" if (live / "notification-fd").exists() else "-uwu"
    return command("s6-svc", event, "-T", timeout(name, "up"), str(live)) == 0


def stop_service(name: str) -> None:
    """Bring it down; what does not end in its own time is left to the end of everything."""
    tell(name, "stopping")
    if (SOURCE / name / "type").read_text().strip() == "oneshot":
        run_oneshot(name, "down")
    else:
        command("s6-svc", "-dwD", "-T", timeout(name, "down"), str(LIVE / name))
        (LIVE / name / "down").touch()
    tell(name, "successfully stopped")


def run_oneshot(name: str, script: str) -> bool:
    """Whether it is as it should be, which it is where there is no script."""
    file = SOURCE / name / script
    if not file.exists():
        return True
    return command("timeout", f"{int(timeout(name, script)) / 1000}", "execlineb", "-P", str(file)) == 0


def timeout(name: str, script: str) -> str:
    """Milliseconds for a transition, 0 for as many as it takes."""
    file = SOURCE / name / f"timeout-{script}"
    return file.read_text().strip() if file.exists() else "0"


def kill_all(number: int) -> None:
    """Send a signal to all processes but this one and process 1, if there are any."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)


def setting(name: str, default: int) -> int:
    """One of s6-overlay's variables."""
    file = ENVIRONMENT / name
    return int(file.read_text()) if file.exists() else default


def tell(name: str, what: str) -> None:
    """Log a step."""
    if setting("S6_VERBOSITY", 2) >= 2:
        log(f"info: service {name}: {what}")


def log(line: str) -> None:
    """Log as s6-rc does."""
    print(f"s6-rc: {line}", file=sys.stderr, flush=True)


def command(*words: str) -> int:
    """The exit code of a command of s6."""
    return subprocess.run(words, check=False).returncode


if __name__ == "__main__":
    main()
