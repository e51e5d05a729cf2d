"""Faces that were found, kept on the disk, so that they need not be looked for again.

A cache holds one folder for each way of finding faces: weights, model, protocol, thresholds,
versions. ``key.json`` in it says these, and its name is their digest. The faces are in files
(shards) that are written under another name, flushed, renamed and then never changed, so that a
process that is killed loses the last seconds of its work. A photograph is known by its id and by
the path, the size and the time of change of its file.
"""

import hashlib
import json
import logging
import os
import time
import uuid
import zlib
from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import timm
import torch
import torchvision

from facezoo import version
from facezoo.errors import DAMAGED_FILE, DataError
from facezoo.inference.detector import Detector
from facezoo.structures import Faces
from facezoo.writing import atomic_write

logger = logging.getLogger(__name__)

LIBRARIES = (cv2, np, timm, torch, torchvision)
SECONDS_PER_SHARD = 20.0
"""An evaluation that is killed loses no more work than that, and one batch."""


class PredictionCache:
    """The faces that one way of finding them gave for some photographs.

    Args:
        folder: of the cache, made where it is missing; several ways and processes share it.
        key: see ``prediction_key``.
        files: of the photographs that are asked for, by image id.

    Raises:
        DataError: a photograph is not there, or the folder cannot be written to.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], files: Mapping[str, Path]) -> None:
        text = json.dumps(key, indent=2, sort_keys=True)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Also where it is there: an error now is better than after hours of work. Under a name
            # of its own at first, as other processes may write it at the same moment.
            own = self.folder / f".{uuid.uuid4().hex}.json"
            with atomic_write(own) as temporary:
                temporary.write_text(text + "\n", encoding="utf-8")
            os.replace(own, self.folder / "key.json")
        except OSError as error:
            raise DataError(
                f"The cache of predictions {self.folder} cannot be written to ({error.strerror}); "
                "name a folder that can, or leave the cache out."
            ) from error
        self._stamps = {image_id: _stamp(image_id, path) for image_id, path in files.items()}
        self._unwritten: dict[str, Faces] = {}
        self._written_at = time.monotonic()
        self._is_full = False

    def read(self) -> dict[str, Faces]:
        """Returns the faces found last of the photographs that are known, by image id.

        A shard that is damaged is removed and named in the log; its photographs are not known.

        Raises:
            DataError: a shard may not be read.
        """
        known: dict[str, Faces] = {}
        for path in sorted(self.folder.glob("*.npz")):  # their names begin with the time
            try:
                known |= _unpack(path.read_bytes(), set(self._stamps.values()))
            except FileNotFoundError:  # another process has removed it
                continue
            except OSError as error:
                raise DataError(
                    f"{path} in the cache of predictions cannot be read ({error.strerror}); put "
                    "that right, or leave the cache out."
                ) from error
            except (*DAMAGED_FILE, zlib.error):
                path.unlink(missing_ok=True)
                logger.warning(
                    "%s is damaged and was removed; its photographs are looked at again.", path
                )
        return {name: known[stamp] for name, stamp in self._stamps.items() if stamp in known}

    def add(self, faces: Mapping[str, Faces]) -> None:
        """Keeps what was found, by image id; it is written with what comes within some seconds."""
        if not self._is_full:
            self._unwritten |= {self._stamps[name]: one for name, one in faces.items()}
        if time.monotonic() - self._written_at >= SECONDS_PER_SHARD:
            self.write()

    def write(self) -> None:
        """Writes what is not written yet; a full disk is warned of, and ends the keeping alone."""
        if self._unwritten:
            # The time in whole digits, so that names sort by it.
            name = f"{time.time_ns():020d}-{uuid.uuid4().hex}.npz"
            try:
                with atomic_write(self.folder / name) as temporary:
                    temporary.write_bytes(_pack(self._unwritten))
            except OSError as error:
                self._is_full = True
                logger.warning(
                    "The cache of predictions %s cannot be written to (%s): what is found from now "
                    "on is not kept.",
                    self.folder,
                    error.strerror,
                )
        self._unwritten = {}
        self._written_at = time.monotonic()


def prediction_key(detector: Detector) -> dict[str, Any]:
    """Returns what the faces depend on that a detector with a config finds, but the photographs.

    Batch size, device, threads and the versions of libraries are among it, as they move results by
    rounding errors. Code is known by versions alone.
    """
    assert detector.config is not None and detector.weights is not None
    return {
        "model": detector.config["model"],
        "weights": hashlib.sha256(detector.weights.read_bytes()).hexdigest(),
        "protocol": detector.protocol.definition(),
        "score_thresh": detector.score_thresh,
        "nms_thresh": detector.nms_thresh,
        "batch_size": detector.batch_size,
        "max_pixels": detector.max_pixels,
        "device": detector.device_name,
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "facezoo": version.__version__,
        **{one.__name__: str(one.__version__) for one in LIBRARIES},
    }


def _stamp(image_id: str, path: Path) -> str:
    """Returns what a photograph is known by: a digest of its id and of the state of its file."""
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(
            f"The image {path} cannot be found ({error.strerror}); check the path."
        ) from error
    known = (image_id, os.path.abspath(path), found.st_size, found.st_mtime_ns)
    return hashlib.sha256(repr(known).encode("utf-8", "surrogateescape")).hexdigest()


def _pack(found: Mapping[str, Faces]) -> bytes:
    """Returns the bytes of a shard with the faces of photographs by their stamps."""
    buffer = BytesIO()
    arrays = {
        f"{stamp}/{name}": array
        for stamp, faces in found.items()
        for name, array in vars(faces).items()
        if array is not None
    }
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _unpack(data: bytes, stamps: Collection[str]) -> dict[str, Faces]:
    """Returns the faces in a shard by stamp; numpy compares the checksums of the arrays."""
    found: dict[str, dict[str, Any]] = {}
    with np.load(BytesIO(data), allow_pickle=False) as file:
        for entry in file.files:
            stamp, _, name = entry.partition("/")
            if stamp in stamps:
                found.setdefault(stamp, {})[name] = file[entry]
    return {stamp: Faces(**arrays) for stamp, arrays in found.items()}
