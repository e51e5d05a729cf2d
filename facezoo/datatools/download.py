"""Getting data sets: archives are fetched, verified and unpacked."""

import errno
import hashlib
import logging
import shutil
import stat
import urllib.request
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from huggingface_hub import hf_hub_download, hf_hub_url
from huggingface_hub.errors import HTTPError

from facezoo.errors import DataError
from facezoo.writing import tracked

logger = logging.getLogger(__name__)

BLOCK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte
AGENT = {"User-Agent": "facezoo"}  # some servers refuse Python's own name
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
HUB = "CUHK-CSE/wider_face"
SITE = "http://shuoyang1213.me/WIDERFACE/support/eval_script"


@dataclass(frozen=True)
class Archive:
    """A zip file to fetch.

    Attributes:
        folder: what it unpacks to, after which it is called; other members of it are left out.
        sha256: of the file in hexadecimal; None where its publisher names none: then the checksum
            that the zip keeps of each member is all that is checked.
        site: folder of a server that has it; None for the repository of WIDER FACE on the Hugging
            Face Hub.
    """

    folder: str
    sha256: str | None = None
    site: str | None = None

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.folder}.zip"

    @property
    def url(self) -> str:
        """Where the file is."""
        if self.site is None:
            return hf_hub_url(HUB, f"data/{self.name}", repo_type="dataset")
        return f"{self.site}/{self.name}"


WIDERFACE = (
    Archive("wider_face_split", "c7561e4f5e7a118c249e0a5c5c902b0de90bbf120d7da9fa28d99041f68a8a5c"),
    Archive("WIDER_val", "f9efbd09f28c5d2d884be8c0eaef3967158c866a593fc36ab0413e4b2a58a17a"),
    Archive("WIDER_train", "e23b76129c825cafae8be944f65310b2e1ba1c76885afe732f179c41e5ed6d59"),
    Archive("eval_tools", site=SITE),
)
"""The official archives: annotations, photographs of val and train, and the ground truth of the
official evaluation. The sums are those that the public mirrors of the data set agree on; none is
published for the last."""


def download_widerface(
    root: Path = Path("data/widerface"), archives: Sequence[Archive] = WIDERFACE
) -> None:
    """Fetches WIDER FACE into ``root``, in the layout that ``WiderFace`` reads.

    About 1.8 GB; while an archive is unpacked, twice its size is needed. Called again, it leaves
    the folders that are there as they are. An archive that somebody put into ``root`` is used and
    kept; what is fetched here goes into a folder ``.fetched`` and is removed once it is unpacked.

    Args:
        root: folder that it goes into; made where it does not exist.
        archives: what to fetch.

    Raises:
        DataError: a server cannot be reached, breaks off or sends another file, an archive would
            write outside ``root``, or the disk is full.
    """
    root = Path(root)
    try:
        for archive in archives:
            if not (root / archive.folder).is_dir():
                _get(archive, root)
            logger.info("%s is complete", root / archive.folder)
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be written ({error.strerror}); make room or name "
            "another root, and run the same command again."
        ) from error


def _get(archive: Archive, root: Path) -> None:
    path = own = root / archive.name
    fetched = root / ".fetched"
    if not own.exists():
        fetched.mkdir(parents=True, exist_ok=True)
        path = fetch(archive, fetched)
    try:
        _check_sum(path, archive.sha256)
        unpack(path, archive.folder, root)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        if path == own:
            raise DataError(
                f"{own} is not the right file ({error}); remove it, so that it is fetched from "
                f"{archive.url}, or put the right one in its place."
            ) from error
        shutil.rmtree(fetched)
        raise DataError(
            f"What came from {archive.url} is not the right file ({error}); it was removed, so try "
            f"again, or put the right {archive.name} into {root} by hand."
        ) from error
    shutil.rmtree(fetched, ignore_errors=True)


def fetch(archive: Archive, folder: Path) -> Path:
    """Downloads an archive; a partial download never gets the final name.

    Returns:
        The file, which lies within ``folder``.

    Raises:
        DataError: the server cannot be reached, refuses, or breaks off.
    """
    try:
        if archive.site is not None:
            return _fetch_url(archive.url, folder / archive.name)
        name = f"data/{archive.name}"
        return Path(hf_hub_download(HUB, name, repo_type="dataset", local_dir=folder))
    except (OSError, HTTPException, HTTPError) as error:
        if getattr(error, "errno", None) in DISK_FULL:
            raise
        # What the client of the hub says itself is a paragraph; its cause is a line.
        reason = str(error.__cause__ or error).partition("\n")[0].rstrip(".")
        raise DataError(
            f"{archive.url} cannot be fetched ({reason}); try again later, or put {archive.name} "
            f"into {folder.parent} by hand."
        ) from error


def _fetch_url(url: str, path: Path) -> Path:
    part = path.with_name(f"{path.name}.part")
    request = urllib.request.Request(url, headers=AGENT)
    # The table of archives holds http and https alone.
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response, part.open("wb") as file:
        size = int(response.headers.get("Content-Length", 0))
        blocks = iter(lambda: response.read(BLOCK), b"")
        for block in tracked(blocks, f"fetching {path.name}", size / BLOCK or None):
            file.write(block)
        if file.tell() < size:
            raise ConnectionError(f"it broke off after {file.tell():,} of {size:,} bytes")
    return part.replace(path)


def _check_sum(path: Path, sha256: str | None) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    if sha256 not in (None, digest.hexdigest()):
        raise zipfile.BadZipFile(f"it has sha256 {digest.hexdigest()}, not {sha256}")


def unpack(path: Path, folder: str, root: Path) -> None:
    """Unpacks one folder of a zip file; it appears under its name when it is complete.

    Args:
        path: of the zip file.
        folder: what to unpack.
        root: where the folder goes.

    Raises:
        DataError: the archive has no such folder, or a member that would land outside it.
        BadZipFile: it is no zip file, or a member does not have its checksum.
    """
    workplace = root / f".{folder}.unpacking"
    shutil.rmtree(workplace, ignore_errors=True)
    try:
        with zipfile.ZipFile(path) as content:
            members = [one for one in content.infolist() if _belongs(one, folder, path)]
            if not members:
                raise DataError(f"The archive {path} has no folder {folder}; fetch it again.")
            for member in tracked(members, f"unpacking {folder}"):
                content.extract(member, workplace)
        (workplace / folder).replace(root / folder)
    finally:
        shutil.rmtree(workplace, ignore_errors=True)


def _belongs(member: zipfile.ZipInfo, folder: str, archive: Path) -> bool:
    """Returns whether a member lies in the folder; refuses a link, or a name that leads out."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    link = stat.S_ISLNK(member.external_attr >> 16)
    if link or name.is_absolute() or ".." in name.parts or ":" in member.filename:
        raise DataError(
            f"The archive {archive} holds {member.filename!r}, which would be written outside its "
            "folder; get it from another place."
        )
    return name.parts[:1] == (folder,)
