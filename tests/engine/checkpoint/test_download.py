"""That a download ends with a whole checkpoint or one clear sentence."""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import hf_hub_download
from safetensors.numpy import save_file

from tests.engine.checkpoint.checkpoint_files import (
    CHECKPOINT,
    CODEC,
    CODEC_BYTES,
    MODEL,
    MODEL_BYTES,
    same_files,
    write_checkpoint,
)
from tests.hub import Hub
from wyoming_qwen3.core.errors import DownloadFailed, TransientDownloadFailed
from wyoming_qwen3.engine import wire
from wyoming_qwen3.engine.checkpoint import download as client
from wyoming_qwen3.engine.checkpoint import on_disk

SECRET = "hf_secret"


class Machine:
    """Where checkpoints are downloaded to, and what was told meanwhile."""

    def __init__(self, hub: Hub, models_dir: Path) -> None:
        self.hub = hub
        self.models_dir = models_dir
        self.reports: list[on_disk.Progress] = []
        self.log: list[str] = []

    @property
    def folder(self) -> Path:
        return on_disk.folder(self.models_dir, CHECKPOINT)

    @property
    def part(self) -> Path:
        """Where the model's weights grow."""
        checksum = hashlib.sha256((self.hub.root / CHECKPOINT.repository / MODEL).read_bytes()).hexdigest()
        return self.folder / ".download" / f"{checksum}.part"

    def download(self, *, revision: str = "main", read_timeout: float = 5.0, endpoint: str | None = None) -> Path:
        return client.download(
            CHECKPOINT,
            self.models_dir,
            revision=revision,
            report=self.reports.append,
            log=self.log.append,
            endpoint=endpoint or self.hub.url,
            read_timeout=read_timeout,
        )

    def fails(
        self, *, read_timeout: float = 5.0, revision: str = "main", endpoint: str | None = None
    ) -> DownloadFailed:
        """The failure of a download, as one sentence without secrets and without what caused it."""
        with pytest.raises(DownloadFailed) as caught:
            self.download(read_timeout=read_timeout, revision=revision, endpoint=endpoint)
        message = str(caught.value)
        assert message.endswith((".", "?"))
        assert "\n" not in message
        assert SECRET not in message
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None
        assert caught.value.code == "download_failed"
        return caught.value


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    write_checkpoint(tmp_path / "hub" / CHECKPOINT.repository)
    with Hub(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def machine(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return Machine(hub, tmp_path / "models")


# Downloads that succeed


def test_download_brings_all_that_is_taken_and_nothing_else(machine: Machine) -> None:
    source = machine.hub.root / CHECKPOINT.repository
    for name in ("pytorch_model.bin", "modeling.py", "state.pt", "weights.pkl", "README.md", ".gitattributes"):
        (source / name).write_bytes(b"not for us")
    assert machine.download() == machine.folder
    assert not any(name.endswith((".bin", ".py", ".pt", ".pkl")) for name in machine.hub.sent())
    taken = {p.relative_to(machine.folder).as_posix() for p in machine.folder.rglob("*") if p.is_file()}
    assert taken == set(on_disk.lacking_names([]))
    assert on_disk.missing_files(machine.folder) == []


def test_sharded_checkpoint_is_downloaded(machine: Machine) -> None:
    source = machine.hub.root / CHECKPOINT.repository
    shutil.rmtree(source)
    write_checkpoint(source, shards=2)
    machine.download()
    assert same_files(machine.folder, source)


def test_progress_grows_within_a_file_and_reaches_the_total(machine: Machine) -> None:
    machine.hub.faults.bytes_per_second = 1_200_000
    machine.download()
    total = sum(p.stat().st_size for p in (machine.hub.root / CHECKPOINT.repository).rglob("*") if p.is_file())
    done = [report.done for report in machine.reports]
    assert {report.total for report in machine.reports} == {total}
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, total)
    assert any(total - MODEL_BYTES < count < total for count in done)


def test_readers_see_only_whole_files_meanwhile(machine: Machine) -> None:
    source = machine.hub.root / CHECKPOINT.repository
    machine.hub.faults.bytes_per_second = 1_200_000
    seen: list[set[str]] = []

    def look(_: on_disk.Progress) -> None:
        visible = {p.relative_to(machine.folder) for p in machine.folder.glob("[!.]*") if p.is_file()}
        assert all((machine.folder / name).read_bytes() == (source / name).read_bytes() for name in visible)
        seen.append({name.as_posix() for name in visible})

    client.download(CHECKPOINT, machine.models_dir, report=look, log=machine.log.append, endpoint=machine.hub.url)
    assert any("config.json" in names and MODEL not in names for names in seen)
    assert MODEL in seen[-1]


def test_download_goes_on_within_a_file(machine: Machine) -> None:
    """After a cut only the rest is asked for, and only the rest is sent."""
    machine.hub.faults.cut_once[MODEL] = 600_000
    assert isinstance(machine.fails(), TransientDownloadFailed)
    kept = machine.part.stat().st_size
    assert 300_000 < kept <= 600_000
    before, machine.reports = machine.hub.sent(), []
    machine.download()
    ranges = [request.range for request in machine.hub.requests if request.name == MODEL]
    assert ranges == [None, f"bytes={kept}-"]
    sent = machine.hub.sent() - before
    assert sent == {MODEL: (machine.folder / MODEL).stat().st_size - kept}
    assert machine.reports[0].done == machine.reports[0].total - sent[MODEL]
    assert "resuming at 0.8 MB" in machine.log[-1]
    assert same_files(machine.folder, machine.hub.root / CHECKPOINT.repository)


def test_download_survives_a_killed_process(machine: Machine) -> None:
    machine.hub.faults.bytes_per_second = 1_000_000
    machine.hub.faults.held = {MODEL}
    script = (
        "import sys, pathlib\n"
        "from wyoming_qwen3.engine.checkpoint import download as hub\n"
        "from wyoming_qwen3.core.checkpoints import Checkpoint\n"
        "hub.download(Checkpoint('custom_voice', '0.6B'), pathlib.Path(sys.argv[1]), log=print,"
        " report=lambda progress: print(progress.done, flush=True))"
    )
    environment = {**os.environ, "HF_ENDPOINT": machine.hub.url}
    command = [sys.executable, "-c", script, str(machine.models_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        while not machine.part.exists() or machine.part.stat().st_size == 0:
            assert process.stdout.readline(), "the download ended before it could be killed"
        process.kill()
    kept = machine.part.stat().st_size
    machine.hub.faults.bytes_per_second = None
    machine.hub.faults.held.clear()
    machine.download()
    assert machine.hub.requests[-1].range == f"bytes={kept}-"
    assert same_files(machine.folder, machine.hub.root / CHECKPOINT.repository)


def test_hub_that_ignores_ranges_sends_the_file_anew(machine: Machine) -> None:
    machine.hub.faults.cut_once[MODEL] = 600_000
    machine.fails()
    machine.hub.faults.ignores_range = True
    machine.download()
    assert machine.reports[-1].done == machine.reports[-1].total
    assert same_files(machine.folder, machine.hub.root / CHECKPOINT.repository)


def test_only_what_lacks_is_fetched(machine: Machine) -> None:
    """Files that lie there are known by their content; one of another content is replaced."""
    shutil.copytree(machine.hub.root / CHECKPOINT.repository, machine.folder)
    config = machine.folder / "config.json"
    config.write_text(config.read_text().replace("config", "gifnoc"))
    (machine.folder / CODEC).unlink()
    machine.download()
    assert set(machine.hub.sent()) == {"config.json", CODEC}
    assert same_files(machine.folder, machine.hub.root / CHECKPOINT.repository)


def test_part_of_another_content_is_not_continued(machine: Machine) -> None:
    machine.hub.faults.cut_once[MODEL] = 600_000
    machine.fails()
    source = machine.hub.root / CHECKPOINT.repository / MODEL
    save_file({"new.weight": np.arange(MODEL_BYTES, dtype=np.uint8)}, source)
    machine.download()
    assert all(request.range is None for request in machine.hub.requests)
    assert (machine.folder / MODEL).read_bytes() == source.read_bytes()
    assert not (machine.folder / ".download").exists()


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pr/1", "commit"])
def test_revision_is_a_branch_a_tag_or_a_commit(machine: Machine, revision: str) -> None:
    """All files come from the commit that it stood for, even if it moves meanwhile."""
    machine.hub.branches = {"main", "v1.0", "refs/pr/1"}
    commit = machine.hub.commit(CHECKPOINT.repository)
    machine.download(revision=commit if revision == "commit" else revision)
    files = [request.path for request in machine.hub.requests if "/resolve/" in request.path]
    assert files
    assert all(f"/resolve/{commit}/" in path for path in files)


def test_token_is_shown_to_the_hub_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    machine.hub.token = SECRET
    machine.download()
    assert {r.token for r in machine.hub.requests if r.path.startswith("/cdn/")} == {None}
    assert {r.token for r in machine.hub.requests if not r.path.startswith("/cdn/")} == {SECRET}
    assert not any(SECRET in line for line in machine.log)


# Downloads that fail


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("where", ["api_status", "file_status"])
def test_busy_hub_may_be_asked_again(machine: Machine, where: str, status: int) -> None:
    setattr(machine.hub.faults, where, status)
    error = machine.fails()
    assert isinstance(error, TransientDownloadFailed)
    assert str(error) == f"The hub at {machine.hub.host} is busy or not working ({status})."
    machine.hub.faults.api_status = machine.hub.faults.file_status = 200
    machine.download()


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("where", ["api_status", "file_status"])
def test_refusal_asks_for_a_token(machine: Machine, monkeypatch: pytest.MonkeyPatch, where: str, status: int) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    setattr(machine.hub.faults, where, status)
    error = machine.fails()
    assert not error.transient
    assert f"refuses {CHECKPOINT.repository} ({status})" in str(error)
    assert "HF_TOKEN" in str(error)


def test_malformed_token_is_not_repeated(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", f"“{SECRET}”")
    error = machine.fails()
    assert not error.transient
    assert "HF_TOKEN" in str(error)


def test_unknown_repository_and_revision_are_named(machine: Machine) -> None:
    error = machine.fails(revision="v9")
    assert not error.transient
    assert str(error) == f"The hub at {machine.hub.host} has no {CHECKPOINT.repository} at revision v9."
    shutil.rmtree(machine.hub.root / CHECKPOINT.repository)
    error = machine.fails()
    assert not error.transient
    assert CHECKPOINT.repository in str(error)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://hub.invalid", "http://user:hf_secret@127.0.0.1:9/"])
def test_no_hub_there(machine: Machine, endpoint: str) -> None:
    error = machine.fails(endpoint=endpoint)
    assert isinstance(error, TransientDownloadFailed)
    host = endpoint.removeprefix("http://").removeprefix("user:hf_secret@").removesuffix("/")
    assert str(error).startswith(f"The hub at {host} can't be reached")


@pytest.mark.parametrize("endpoint", ["huggingface.co", "ftp://huggingface.co", "http://"])
def test_address_that_is_none(machine: Machine, endpoint: str) -> None:
    error = machine.fails(endpoint=endpoint)
    assert not error.transient
    assert "HF_ENDPOINT" in str(error)


@pytest.mark.parametrize(
    "body", [b"<html>Please sign in to this Wi-Fi</html>", b"[]", b"{}", b'{"id": "x", "siblings": [{}]}']
)
def test_answer_that_is_no_hubs(machine: Machine, body: bytes) -> None:
    machine.hub.faults.api_body = body
    error = machine.fails()
    assert isinstance(error, TransientDownloadFailed)
    assert str(error) == f"The server at {machine.hub.host} is not a Hugging Face hub."


@pytest.mark.parametrize("after", [0, 600_000])
def test_silent_hub_is_given_up(machine: Machine, after: int) -> None:
    machine.hub.faults.stall[MODEL] = after
    error = machine.fails(read_timeout=0.5)
    assert isinstance(error, TransientDownloadFailed)
    assert (
        str(error)
        == f"The hub at {machine.hub.host} closed the connection or stopped sending in the middle of {MODEL}."
    )


def test_cut_connection_is_told(machine: Machine) -> None:
    machine.hub.faults.cut[CODEC] = 1000
    error = machine.fails()
    assert isinstance(error, TransientDownloadFailed)
    assert (
        str(error)
        == f"The hub at {machine.hub.host} closed the connection or stopped sending in the middle of {CODEC}."
    )


@pytest.mark.parametrize("name", [MODEL, CODEC, "config.json"])
def test_wrong_bytes_are_deleted_and_never_seen(machine: Machine, name: str) -> None:
    machine.hub.faults.wrong_bytes = {name}
    error = machine.fails()
    assert isinstance(error, TransientDownloadFailed)
    assert f"{name} from {machine.hub.host} does not match its size and checksum; it was deleted" in str(error)
    assert not (machine.folder / name).exists()
    assert not list(machine.folder.rglob("*.part"))
    machine.hub.faults.wrong_bytes = set()
    machine.download()
    assert all(request.range is None for request in machine.hub.requests)


def test_file_shorter_than_declared_does_not_pass(machine: Machine) -> None:
    machine.hub.faults.declared_size[CODEC] = CODEC_BYTES * 2
    error = machine.fails()
    assert "does not match its size and checksum" in str(error)
    assert not (machine.folder / CODEC).exists()


def test_full_disk_is_told_before_anything_is_fetched(machine: Machine) -> None:
    machine.hub.faults.declared_size[MODEL] = 10**18
    error = machine.fails()
    assert not error.transient
    free = shutil.disk_usage(machine.models_dir).free / 1e9
    assert "needs 1000000000.5 GB of free space" in str(error)
    told = float(str(error).split(" has ")[1].removesuffix(" GB."))
    assert told == pytest.approx(free, rel=0.2)
    assert str(machine.models_dir) in str(error)
    assert not machine.hub.sent()


def test_disk_that_fills_meanwhile_is_told(machine: Machine) -> None:
    machine.part.parent.mkdir(parents=True)
    machine.part.symlink_to("/dev/full")
    error = machine.fails()
    assert not error.transient
    assert str(error) == f"The disk of {machine.models_dir} is full; what was downloaded is kept."
    assert (machine.folder / CODEC).exists()


def test_models_dir_that_can_not_be_written(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    machine.models_dir = tmp_path / "file"
    error = machine.fails()
    assert not error.transient
    assert str(error) == f"{CHECKPOINT.repository} can't be written to {tmp_path}/file: Not a directory."


@pytest.mark.parametrize(
    "name", ["../config.json", "/etc/config.json", "a/../../x.json", "a\\..\\x.json", ".download/x.txt", "a\ud800.json"]
)
def test_unsafe_names_are_refused(machine: Machine, name: str) -> None:
    source = machine.hub.root / CHECKPOINT.repository
    (source / "extra.json").write_text("{}")
    machine.hub.faults.renamed["extra.json"] = name
    error = machine.fails()
    assert not error.transient
    assert "unsafe name" in str(error)
    assert not machine.hub.sent()


def test_repository_that_lacks_files_is_not_fetched(machine: Machine) -> None:
    (machine.hub.root / CHECKPOINT.repository / CODEC).unlink()
    error = machine.fails()
    assert not error.transient
    assert str(error) == f"{CHECKPOINT.repository} at main lacks {CODEC}."
    assert not machine.hub.sent()


def test_repository_that_lacks_a_shard_is_told(machine: Machine) -> None:
    source = machine.hub.root / CHECKPOINT.repository
    shutil.rmtree(source)
    write_checkpoint(source, shards=2)
    (source / "model-00002-of-00002.safetensors").unlink()
    error = machine.fails()
    assert not error.transient
    assert "is incomplete: it lacks model-00002-of-00002.safetensors." in str(error)


def test_second_download_of_the_same_folder_waits_its_turn(machine: Machine) -> None:
    refused: list[str] = []

    def download_again(_: on_disk.Progress) -> None:
        with pytest.raises(TransientDownloadFailed) as caught:
            machine.download()
        refused.append(str(caught.value))

    client.download(CHECKPOINT, machine.models_dir, report=download_again, log=print, endpoint=machine.hub.url)
    assert set(refused) == {f"Another process is downloading {CHECKPOINT.name}."}
    assert on_disk.missing_files(machine.folder) == []


@pytest.mark.parametrize("error", [DownloadFailed("Full."), TransientDownloadFailed("Busy.")])
def test_failure_is_the_same_after_the_pipe(error: DownloadFailed) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(wire.pack(wire.JobFailed(1, error)))
        message: object = wire.receive_blocking(ours)
    assert isinstance(message, wire.JobFailed)
    assert type(message.error) is type(error)
    assert str(message.error) == str(error)


# What needs a process of its own


def run(code: str, **environment: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env={**os.environ, **environment}, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_offline_is_obeyed(machine: Machine) -> None:
    code = f"""
from pathlib import Path
from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.engine.checkpoint import download as hub
from wyoming_qwen3.core.errors import DownloadFailed
try:
    hub.download(Checkpoint("custom_voice", "0.6B"), Path({str(machine.models_dir)!r}), report=print, log=print)
except DownloadFailed as error:
    print(error.transient, error)
"""
    told = run(code, HF_HUB_OFFLINE="1", HF_ENDPOINT=machine.hub.url)
    assert told == f"False {CHECKPOINT.repository} can't be downloaded because HF_HUB_OFFLINE is set."
    assert not machine.hub.requests


def test_hub_of_the_tests_serves_the_real_client(hub: Hub, tmp_path: Path) -> None:
    for name in (MODEL, "config.json"):
        path = hf_hub_download(CHECKPOINT.repository, name, local_dir=tmp_path / "real", endpoint=hub.url)
        assert Path(path).read_bytes() == (hub.root / CHECKPOINT.repository / name).read_bytes()
