"""Faces that were found, kept on the disk, so that a second look at them needs no network.

A cache holds one folder for each way of finding faces: a model, its weights, a protocol and
whatever else the faces depend on. ``key.json`` in it says these, and its name is their digest. The
faces are in files (shards) that are written under another name, flushed, renamed and then never
changed, so that a process that is killed loses the last seconds of its work. A photograph is known
by its id and by the path, the size and the time of change of its file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import uuid
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from facezoo.errors import DAMAGED_FILE, DataError
from facezoo.evaluation.code_digest import code_digest, library_versions
from facezoo.inference.detector import Detector
from facezoo.inference.loading import LoadedModel
from facezoo.structures import NUM_LANDMARKS, Faces
from facezoo.version import __version__

logger = logging.getLogger(__name__)

KEY = "key.json"
SHARDS = "*.npz"
SECONDS_PER_SHARD = 20.0
"""An evaluation that is killed loses no more work than that, and one batch."""


class PredictionCache:
    """The faces that one way of finding them gave for some photographs.

    Args:
        folder: of the cache, made where it is missing; several ways share it.
        key: all that the faces depend on, as plain data; see ``prediction_key``.
        files: of the photographs that are asked for, by image id.

    Raises:
        DataError: a photograph is not there, or the folder cannot be written to.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], files: Mapping[str, Path]) -> None:
        text = json.dumps(key, indent=2, sort_keys=True)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Also where it is there, as this tells before hours of work whether writing will do.
            _write_whole(self.folder / KEY, (text + "\n").encode())
        except OSError as error:
            raise DataError(
                f"The cache of predictions {self.folder} cannot be written to ({error.strerror}); "
                "name a folder that can, or leave the cache out."
            ) from error
        self._stamps = {image_id: _stamp(path) for image_id, path in files.items()}
        self._waiting: dict[str, Faces] = {}
        self._written_at = time.monotonic()
        self._keeps = True

    def read(self) -> dict[str, Faces]:
        """Returns the faces of the photographs that are known, by image id.

        Of a photograph that was looked at more than once, these are the faces found last. A shard
        that is damaged is removed and named in the log; its photographs are not known.

        Raises:
            DataError: a shard may not be read, or a damaged one not be removed.
        """
        known: dict[str, Faces] = {}
        for path in sorted(self.folder.glob(SHARDS)):  # their names begin with the time
            try:
                known |= self._read_shard(path)
            except OSError as error:
                raise DataError(
                    f"{path} in the cache of predictions cannot be read or, as it is damaged, be "
                    f"removed ({error.strerror}); put that right, or leave the cache out."
                ) from error
        return known

    def add(self, faces: Mapping[str, Faces]) -> None:
        """Keeps what was found, by image id; it is written with what comes within some seconds."""
        if self._keeps:
            self._waiting |= faces
        if time.monotonic() - self._written_at >= SECONDS_PER_SHARD:
            self.write()

    def write(self) -> None:
        """Writes what is not written yet.

        Where the disk refuses, as when it is full, the log says so and nothing is kept from then
        on: what was computed is worth more than its copy.
        """
        if self._waiting:
            # The time in whole digits, so that names sort by it.
            name = f"{time.time_ns():020d}-{uuid.uuid4().hex}{Path(SHARDS).suffix}"
            try:
                _write_whole(self.folder / name, _pack(self._waiting, self._stamps))
            except OSError as error:
                self._keeps = False
                logger.warning(
                    "The cache of predictions %s cannot be written to (%s): what is found from now "
                    "on is not kept.",
                    self.folder,
                    error.strerror,
                )
        self._waiting = {}
        self._written_at = time.monotonic()

    def _read_shard(self, path: Path) -> dict[str, Faces]:
        """Returns what a shard knows; nothing where it is damaged, or another process removed it.

        Raises:
            OSError: it cannot be read, or not be removed.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return {}
        try:
            return _unpack(data, self._stamps)
        except (*DAMAGED_FILE, zlib.error):
            path.unlink(missing_ok=True)
            logger.warning(
                "%s is damaged and was removed; its photographs are looked at again.", path
            )
            return {}


def prediction_key(loaded: LoadedModel, detector: Detector) -> dict[str, Any]:
    """Returns what the faces that a detector finds depend on, but for the photographs.

    Batch size, device, threads and the versions of libraries are among it, as they move results by
    rounding errors.

    Args:
        loaded: the model as it was loaded.
        detector: that finds faces with it.

    Raises:
        ConfigError: a part of the model is defined in no file, as in a notebook.
    """
    described = detector.describe()
    return {
        **{name: value for name, value in described.items() if not name.startswith("protocol")},
        "protocol": detector.protocol.definition(),
        "model": loaded.config["model"],
        "weights": hashlib.sha256(loaded.weights.read_bytes()).hexdigest(),
        "code": code_digest(loaded.model),
        "facezoo": __version__,
        "libraries": library_versions(),
        "device": detector.device_name,
        "threads": torch.get_num_threads(),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "batch_size": detector.batch_size,
        "max_pixels": detector.max_pixels,
    }


def _stamp(path: Path) -> str:
    """Returns what a file is known by: a digest of its path, its size and the time of its change.

    Raises:
        DataError: it is not there.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(
            f"The image {path} cannot be found ({error.strerror}); check the path."
        ) from error
    known = (os.path.abspath(path), found.st_size, found.st_mtime_ns)
    return hashlib.blake2b(
        repr(known).encode("utf-8", "surrogateescape"), digest_size=16
    ).hexdigest()


def _pack(found: Mapping[str, Faces], stamps: Mapping[str, str]) -> bytes:
    """Returns the bytes of a shard."""
    faces = list(found.values())
    landmarks = [one.landmarks for one in faces if one.landmarks is not None]
    buffer = BytesIO()
    np.savez(
        buffer,
        image_ids=np.array(list(found)),
        stamps=np.array([stamps[image_id] for image_id in found]),
        counts=np.array([len(one) for one in faces], np.int64),
        boxes=np.concatenate([one.boxes for one in faces]),
        scores=np.concatenate([one.scores for one in faces]),
        has_landmarks=np.array([one.landmarks is not None for one in faces], np.bool_),
        landmarks=np.concatenate(landmarks or [np.zeros((0, NUM_LANDMARKS, 2), np.float32)]),
    )
    return buffer.getvalue()


def _unpack(data: bytes, stamps: Mapping[str, str]) -> dict[str, Faces]:
    """Returns the faces in a shard of the photographs that are as they were.

    Raises:
        Exception: one of ``DAMAGED_FILE`` or zlib's, where the bytes are no shard; numpy compares
            the checksums of its arrays.
    """
    with np.load(BytesIO(data), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    counts, has_landmarks = arrays["counts"], arrays["has_landmarks"]
    boxes, scores = (_parts(arrays[name], counts) for name in ("boxes", "scores"))
    landmarks = _parts(arrays["landmarks"], np.where(has_landmarks, counts, 0))
    known: dict[str, Faces] = {}
    for i, (image_id, stamp) in enumerate(
        zip(arrays["image_ids"].tolist(), arrays["stamps"].tolist(), strict=True)
    ):
        if stamps.get(image_id) == stamp:
            # Copies, as a view of one photograph would keep the whole shard in memory.
            points = landmarks[i].copy() if has_landmarks[i] else None
            known[image_id] = Faces(boxes[i].copy(), scores[i].copy(), points)
    return known


def _parts(rows: NDArray[Any], counts: NDArray[np.int64]) -> list[NDArray[Any]]:
    """Returns the rows of each photograph."""
    if counts.sum() != len(rows):
        raise ValueError(f"{len(rows)} rows where {counts.sum()} belong")
    return np.split(rows, np.cumsum(counts)[:-1])


def _write_whole(path: Path, data: bytes) -> None:
    """Writes a file that is there as a whole or not at all, whoever else writes it."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.new")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
