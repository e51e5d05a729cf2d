"""Getting data sets: archives are fetched, checked, and unpacked, each step where it stopped."""

from __future__ import annotations

import errno
import hashlib
import http.client
import logging
import shutil
import ssl
import stat
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
    track,
)

from facezoo.errors import DataError

logger = logging.getLogger(__name__)

BLOCK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte
AGENT = {"User-Agent": "facezoo"}  # some servers refuse Python's own name
HUB = "https://huggingface.co/datasets/CUHK-CSE/wider_face/resolve/main/data"
SITE = "http://shuoyang1213.me/WIDERFACE/support"


@dataclass(frozen=True)
class Archive:
    """A zip file to fetch.

    Attributes:
        url: where it is.
        folder: what it unpacks to; other members of it are left out.
        sha256: of the file in hexadecimal; None where its publisher names none: then the checksum
            that the zip keeps of each member is all that is checked.
    """

    url: str
    folder: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


WIDERFACE = (
    Archive(
        f"{HUB}/wider_face_split.zip",
        "wider_face_split",
        "c7561e4f5e7a118c249e0a5c5c902b0de90bbf120d7da9fa28d99041f68a8a5c",
    ),
    Archive(
        f"{HUB}/WIDER_val.zip",
        "WIDER_val",
        "f9efbd09f28c5d2d884be8c0eaef3967158c866a593fc36ab0413e4b2a58a17a",
    ),
    Archive(
        f"{HUB}/WIDER_train.zip",
        "WIDER_train",
        "e23b76129c825cafae8be944f65310b2e1ba1c76885afe732f179c41e5ed6d59",
    ),
    Archive(f"{SITE}/eval_script/eval_tools.zip", "eval_tools"),
)
"""The official archives: annotations, photographs of val and train, and the ground truth of the
official evaluation. The sums are those that the public mirrors of the data set agree on; none is
published for the last."""


def download_widerface(root: Path, archives: Sequence[Archive] = WIDERFACE) -> None:
    """Fetches WIDER FACE into ``root``, in the layout that ``WiderFace`` reads.

    About 1.8 GB; while an archive is unpacked, twice its size is needed. Called again after it
    stopped, it goes on: a folder that is there is left as it is, half an archive is completed. An
    archive that somebody put into ``root`` is used and kept; what was fetched here is removed once
    it is unpacked.

    Args:
        root: folder that it goes into; made where it does not exist.
        archives: what to fetch.

    Raises:
        DataError: a server cannot be reached, breaks off or sends another file, an archive would
            write outside ``root``, or the disk is full.
    """
    root = Path(root)
    with _disk(root):
        root.mkdir(parents=True, exist_ok=True)
        for archive in archives:
            if (root / archive.folder).is_dir():
                logger.info("%s is there already", root / archive.folder)
                continue
            own = root / archive.name
            if own.exists():
                _check_own(own, archive)
                unpack(own, archive.folder, root)
            else:
                part = own.with_name(f"{own.name}.part")
                fetch(archive.url, part)
                _check_fetched(part, archive)
                unpack(part, archive.folder, root)
                part.unlink()
            logger.info("%s is complete", root / archive.folder)


def fetch(url: str, path: Path) -> None:
    """Downloads a file, or what is missing of it.

    Args:
        url: of the file.
        path: where it goes; what is there already is taken as its beginning.

    Raises:
        DataError: the server cannot be reached, refuses, or breaks off.
    """
    present = path.stat().st_size if path.exists() else 0
    headers = {**AGENT, "Range": f"bytes={present}-"} if present else AGENT
    by_hand = f"put the file into {path.parent} by hand, or try again later"
    try:
        with urllib.request.urlopen(  # the table of archives holds http and https alone
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT
        ) as response:
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:
                present = 0
            _save(response, path, present, url)
    except urllib.error.HTTPError as error:
        # What is there is the whole file, or more than it: the check of the archive tells.
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and present:
            return
        raise DataError(
            f"The server answers {error.code} ({error.reason}) for {url}; {by_hand}."
        ) from error
    except urllib.error.URLError as error:
        raise DataError(f"{url} cannot be reached ({error.reason}); {by_hand}.") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise DataError(_broken_off(url, path)) from error


def find_fault(path: Path, archive: Archive) -> str | None:
    """Checks a file by its sum, or where none is known by those that a zip file holds itself.

    Returns:
        What is wrong, as the end of a sentence; None where nothing is.
    """
    if archive.sha256 is None:
        try:
            with zipfile.ZipFile(path) as content:
                bad = content.testzip()
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            return f"is no intact zip file ({error})"
        return None if bad is None else f"is a zip file with a damaged member {bad}"
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    found = digest.hexdigest()
    return None if found == archive.sha256 else f"has sha256 {found}, not {archive.sha256}"


def unpack(path: Path, folder: str, root: Path) -> None:
    """Unpacks one folder of a zip file; it appears under its name when it is complete.

    Args:
        path: of the zip file.
        folder: what to unpack.
        root: where the folder goes.

    Raises:
        DataError: the archive has no such folder, or a member that would land outside it.
    """
    workplace = root / f".{folder}.unpacking"
    if workplace.exists():
        shutil.rmtree(workplace)
    try:
        with zipfile.ZipFile(path) as content:
            members = [one for one in content.infolist() if _belongs(one, folder, path)]
            if not members:
                raise DataError(f"The archive {path} has no folder {folder}; fetch it again.")
            console = Console(stderr=True)
            for member in track(
                members,
                description=f"unpacking {folder}",
                console=console,
                disable=not console.is_terminal,
                transient=True,
            ):
                content.extract(member, workplace)
        (workplace / folder).replace(root / folder)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _check_own(path: Path, archive: Archive) -> None:
    """Raises a DataError where a file that somebody put there is not the archive."""
    fault = find_fault(path, archive)
    if fault is not None:
        raise DataError(
            f"{path} {fault}; remove it, so that it is fetched from {archive.url}, or put the "
            "right one in its place."
        )


def _check_fetched(path: Path, archive: Archive) -> None:
    """Removes what was fetched and raises a DataError where it is not the archive."""
    fault = find_fault(path, archive)
    if fault is not None:
        path.unlink()
        raise DataError(
            f"What came from {archive.url} {fault}; it was removed, so try again, or put the "
            f"right {archive.name} into {path.parent} by hand."
        )


def _save(response: http.client.HTTPResponse, path: Path, present: int, url: str) -> None:
    """Appends a response to the first ``present`` bytes of a file."""
    length = response.headers.get("Content-Length")
    total = present + int(length) if length else None
    free = shutil.disk_usage(path.parent).free
    if total is not None and total - present > free:
        raise OSError(errno.ENOSPC, f"{(total - present) >> 20} MiB are to come")
    with path.open("ab" if present else "wb") as file, _progress() as progress:
        task = progress.add_task(path.stem, total=total, completed=present)
        while block := response.read(BLOCK):
            file.write(block)
            progress.advance(task, len(block))
        size = file.tell()
    if total is not None and size < total:
        raise DataError(_broken_off(url, path))


def _broken_off(url: str, path: Path) -> str:
    size = path.stat().st_size if path.exists() else 0
    return (
        f"The download of {url} broke off after {size:,} bytes; run the same command again, which "
        "goes on from there."
    )


def _belongs(member: zipfile.ZipInfo, folder: str, archive: Path) -> bool:
    """Returns whether a member lies in the folder.

    Raises:
        DataError: it would land elsewhere than its name says, or is a link.
    """
    name = PurePosixPath(member.filename.replace("\\", "/"))
    link = stat.S_ISLNK(member.external_attr >> 16)
    if link or name.is_absolute() or ".." in name.parts or ":" in member.filename:
        raise DataError(
            f"The archive {archive} holds {member.filename!r}, which would be written outside its "
            "folder; get it from another place."
        )
    return name.parts[:1] == (folder,)


@contextmanager
def _disk(root: Path) -> Iterator[None]:
    """Turns what the disk refuses into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(root).free >> 20
            raise DataError(
                f"The disk of {root} is full ({free} MiB are free; {error.strerror}); make room or "
                "name another root, and run the same command again."
            ) from error
        raise DataError(
            f"{error.filename or root} cannot be written ({error.strerror}); name a root that you "
            "may write to."
        ) from error


def _progress() -> Progress:
    """Returns a progress bar on a terminal, and nothing elsewhere."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
