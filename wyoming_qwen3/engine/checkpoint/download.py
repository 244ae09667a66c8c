"""Downloads a repository's files from a Hugging Face hub into a folder; each file is there complete or not at all.

A file is written to a hidden folder in the checkpoint's, verified, and only then moved into place. The hub's client
lists the files and supplies URLs and headers. The content comes by plain HTTP and not by Xet, which can't resume inside
a file and does not give up on a silent hub. Knows no torch, and nothing of what the files contain.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import requests
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from wyoming_qwen3.core.checkpoints import Checkpoint
from wyoming_qwen3.core.errors import DownloadFailed, TransientDownloadFailed

from .on_disk import PARTS, Progress, folder, lacking_names, missing_files
from .proxies import proxy_fault, proxy_for, proxy_refusal

SPACE_MARGIN = 512 * 1024**2
"""Bytes that must stay free on the disk."""

_SUFFIXES = (".safetensors", ".json", ".txt")
_CONNECT_SECONDS = 10.0
_REPORT_SECONDS = 0.5
_CHUNK = 256 * 1024
_CLIENT = "wyoming-qwen3"


def download(
    checkpoint: Checkpoint,
    models_dir: Path,
    *,
    revision: str = "main",
    report: Callable[[Progress], None],
    log: Callable[[str], None],
    endpoint: str | None = None,
    read_timeout: float = 30.0,
) -> Path:
    """Download what the checkpoint's folder lacks of `revision` (a branch, tag or commit), and return the folder.

    Resumes where an earlier try stopped, even inside a file. Downloads safetensors, JSON and text, never pickles or
    code, and verifies each file with the hub's checksum before it appears in its place. This is a single try, which
    ends after `read_timeout` seconds without a byte; the caller repeats it after `retry_delay`. `report` is called
    about twice a second, and at the end. HF_ENDPOINT (unless `endpoint` is given), HF_TOKEN and HF_HUB_OFFLINE are
    respected.

    Raises TransientDownloadFailed if trying again may help, else DownloadFailed.
    """
    path = folder(models_dir, checkpoint)
    _fetch(checkpoint.repository, revision, path, report=report, log=log, endpoint=endpoint, read_timeout=read_timeout)
    if missing := missing_files(path):
        raise DownloadFailed(f"{checkpoint.repository} at {revision} is incomplete: it lacks {', '.join(missing)}.")
    return path


def _fetch(
    repository: str,
    revision: str,
    path: Path,
    *,
    report: Callable[[Progress], None],
    log: Callable[[str], None],
    endpoint: str | None = None,
    read_timeout: float,
) -> None:
    """Download the repository's files of `revision` that `path` lacks, as `download` says.

    Raises TransientDownloadFailed if trying again may help, else DownloadFailed.
    """
    hub = _Hub(repository, revision, endpoint.rstrip("/") if endpoint else None, read_timeout)
    with _in_one_sentence(hub, path.parent):
        commit, files = hub.listing()
        parts = path / PARTS
        parts.mkdir(parents=True, exist_ok=True)
        with _alone(parts, log):
            wanted = [file for file in files if not file.is_at(path / file.name)]
            meter = _Meter(sum(file.size for file in files), report)
            meter.done = meter.total - sum(file.size - _begun(file, parts) for file in wanted)
            _check_space(hub, path, meter.total - meter.done)
            log(_announcement(hub, commit, len(files), meter))
            meter.flush()
            for file in wanted:
                _take(hub, commit, file, path, meter)
            meter.flush()
        shutil.rmtree(parts, ignore_errors=True)  # all files are in place; anything left here does no harm


@dataclass(frozen=True)
class _HubFile:
    """A file on the hub. `checksum` is in hex: the SHA-256 of its content if in LFS, else the SHA-1 of its git blob."""

    name: str
    size: int
    checksum: str
    lfs: bool

    def is_at(self, path: Path) -> bool:
        """Return whether exactly this file is at `path`, by size and checksum."""
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as file:
            if self.lfs:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.checksum
            # A git blob's hash includes its kind and length: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
            return hashlib.sha1(b"blob %d\0" % self.size + file.read()).hexdigest() == self.checksum


@dataclass(frozen=True)
class _Hub:
    """One repository at one revision, as the hub's client sees it."""

    repository: str
    revision: str
    endpoint: str | None
    read_timeout: float

    @property
    def host(self) -> str:
        """The hub's host for messages, without a user and password in its address."""
        return urlsplit(self.address).netloc.rpartition("@")[2]

    @property
    def address(self) -> str:
        return self.endpoint or str(constants.ENDPOINT)

    @property
    def connect_seconds(self) -> float:
        return min(_CONNECT_SECONDS, self.read_timeout)

    def listing(self) -> tuple[str, list[_HubFile]]:
        """Return the commit of the revision and its files to download, smallest first.

        Raises DownloadFailed if the repository lacks files or the listing is not acceptable, and
        TransientDownloadFailed if the answer is not a hub's.
        """
        try:
            info = HfApi(endpoint=self.endpoint, library_name=_CLIENT).model_info(
                self.repository, revision=self.revision, files_metadata=True, timeout=self.connect_seconds
            )
        except (requests.JSONDecodeError, KeyError, TypeError):
            raise TransientDownloadFailed(f"The server at {self.host} is not a Hugging Face hub.") from None
        files = [self._file(sibling) for sibling in info.siblings or () if sibling.rfilename.endswith(_SUFFIXES)]
        if lacking := lacking_names(file.name for file in files):
            raise DownloadFailed(f"{self.repository} at {self.revision} lacks {', '.join(lacking)}.")
        return info.sha or self.revision, sorted(files, key=lambda file: file.size)

    @contextmanager
    def body(self, commit: str, name: str, start: int) -> Iterator[requests.Response]:
        """Request a file from byte `start` on and yield the response: status 206, or 200 if the hub sends all of it."""
        headers = build_hf_headers(library_name=_CLIENT) | {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        url = hf_hub_url(self.repository, name, revision=commit, endpoint=self.endpoint)
        timeout = (self.connect_seconds, self.read_timeout)
        with get_session().get(url, headers=headers, stream=True, timeout=timeout) as response:
            hf_raise_for_status(response)
            try:
                yield response
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                raise TransientDownloadFailed(
                    f"The hub at {self.host} closed the connection or stopped sending in the middle of {name}."
                ) from None

    def _file(self, sibling: Any) -> _HubFile:
        """Check one file of the listing and return it. The listing is not trusted: HF_ENDPOINT may be any server."""
        name, lfs = sibling.rfilename, sibling.lfs
        parts = PurePosixPath(name).parts
        if not name.isprintable() or "\\" in name or any(part.startswith((".", "/")) for part in parts):
            raise DownloadFailed(
                f"{self.repository} contains a file with an unsafe name, {name!r}; nothing was downloaded."
            )
        size, checksum = (lfs.size, lfs.sha256) if lfs else (sibling.size, sibling.blob_id)
        if not isinstance(size, int) or not isinstance(checksum, str) or not checksum.isalnum():
            raise DownloadFailed(f"The hub at {self.host} does not report the size and checksum of {name}.")
        return _HubFile(name, size, checksum, lfs is not None)


@dataclass
class _Meter:
    """Counts a download's bytes and reports them about twice a second."""

    total: int
    report: Callable[[Progress], None]
    done: int = 0
    reported: float = field(default_factory=time.monotonic)

    def add(self, count: int) -> None:
        self.done += count
        if time.monotonic() - self.reported >= _REPORT_SECONDS:
            self.flush()

    def flush(self) -> None:
        self.reported = time.monotonic()
        self.report(Progress(self.done, self.total))


def _take(hub: _Hub, commit: str, file: _HubFile, path: Path, meter: _Meter) -> None:
    """Download one file, verify it and move it into place."""
    part = _part(file, path / PARTS)
    begun = _begun(file, path / PARTS)
    if begun < file.size or not part.exists():
        with hub.body(commit, file.name, begun) as response:
            _append(response, part, meter)
    if not file.is_at(part):
        part.unlink()
        raise TransientDownloadFailed(
            f"{file.name} from {hub.host} does not match its size and checksum; it was deleted and is downloaded again."
        )
    place = path / file.name
    place.parent.mkdir(parents=True, exist_ok=True)
    part.replace(place)


def _append(response: requests.Response, part: Path, meter: _Meter) -> None:
    begun = part.stat().st_size if part.exists() else 0
    if begun and response.status_code != requests.codes.partial_content:
        meter.add(-begun)
        part.unlink()
    with part.open("ab") as sink:
        for chunk in response.iter_content(_CHUNK):
            sink.write(chunk)
            meter.add(len(chunk))
        sink.flush()
        os.fsync(sink.fileno())  # else a power cut soon after the move could leave a file without content


def _part(file: _HubFile, parts: Path) -> Path:
    """Return where a file is written first. The name is its checksum, so that no other revision's file is resumed."""
    return parts / f"{file.checksum}.part"


def _begun(file: _HubFile, parts: Path) -> int:
    """Return how many bytes of the file an earlier try left; if there are more than the file has, delete them."""
    part = _part(file, parts)
    if part.exists() and part.stat().st_size > file.size:
        part.unlink()
    return part.stat().st_size if part.exists() else 0


def _announcement(hub: _Hub, commit: str, files: int, meter: _Meter) -> str:
    resuming = f", resuming at {meter.done / 1e6:.1f} MB" if meter.done else ""
    return f"Downloading {hub.repository} at {commit[:12]}: {meter.total / 1e6:.1f} MB in {files} files{resuming}."


def _check_space(hub: _Hub, path: Path, rest: int) -> None:
    needed, free = rest + SPACE_MARGIN, shutil.disk_usage(path).free
    if rest and needed > free:
        raise DownloadFailed(
            f"{hub.repository} needs {needed / 1e9:.1f} GB of free space, but {path.parent} has {free / 1e9:.1f} GB."
        )


@contextmanager
def _alone(parts: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Keep a second process from writing to the same parts."""
    with parts.joinpath("lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TransientDownloadFailed(f"Another process is downloading {parts.parent.name}.") from None
        except OSError as error:
            log(f"The disk of {parts.parent} has no file locks, so a second download could start there: {error}.")
        yield


@contextmanager
def _in_one_sentence(hub: _Hub, models_dir: Path) -> Iterator[None]:
    """Turn errors of the client or the system into DownloadFailed with a message of one sentence.

    The original error is suppressed (`from None`), because its text may contain a signed URL or a malformed token.
    """
    try:
        yield
    except OfflineModeIsEnabled:
        raise DownloadFailed(f"{hub.repository} can't be downloaded because HF_HUB_OFFLINE is set.") from None
    except HfHubHTTPError as error:
        raise _refusal(hub, error.response.status_code) from None
    except requests.RequestException as error:
        raise _no_answer(hub, error) from None
    except UnicodeEncodeError:
        raise DownloadFailed("HF_TOKEN contains characters that a token can't have; correct or remove it.") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DownloadFailed(f"The disk of {models_dir} is full; what was downloaded is kept.") from None
        raise DownloadFailed(f"{hub.repository} can't be written to {models_dir}: {error.strerror}.") from None


def _refusal(hub: _Hub, status: int) -> DownloadFailed:
    if status == requests.codes.proxy_authentication_required and (proxy := proxy_for(hub.address)):
        return proxy_refusal(proxy)
    if status in (401, 403):
        return DownloadFailed(
            f"The hub at {hub.host} refuses {hub.repository} ({status}): it is private or does not exist; "
            "set HF_TOKEN to a token that can read it."
        )
    if status == 404:
        return DownloadFailed(f"The hub at {hub.host} has no {hub.repository} at revision {hub.revision}.")
    if status in (408, 425, 429) or status >= 500:
        return TransientDownloadFailed(f"The hub at {hub.host} is busy or not working ({status}).")
    return DownloadFailed(f"The hub at {hub.host} answered {status} to a request for {hub.repository}.")


def _no_answer(hub: _Hub, error: requests.RequestException) -> DownloadFailed:
    if not hub.address.startswith(("http://", "https://")) or not hub.host:
        return DownloadFailed("HF_ENDPOINT must be the address of a hub, such as https://huggingface.co.")
    if isinstance(error, requests.exceptions.SSLError):
        return TransientDownloadFailed(
            f"The certificate of {hub.host} is not trusted on this machine; check that its clock is right."
        )
    if proxy := proxy_for(hub.address):
        return proxy_fault(proxy, hub.host, error)
    if isinstance(error, requests.exceptions.InvalidURL):
        return DownloadFailed("HF_ENDPOINT must be the address of a hub, such as https://huggingface.co.")
    return TransientDownloadFailed(f"The hub at {hub.host} can't be reached ({type(error).__name__}).")
