"""Faces that were found, kept on the disk, so that a second look at them needs no network.

A cache holds one folder for each way of finding faces: a model, its weights, a protocol and
whatever else the faces depend on. ``key.json`` in it says these, and its name is their digest. The
faces are in files (shards) that are written under another name, flushed, renamed and then never
changed, so that a process that is killed loses the last seconds of its work. A photograph is known
by its id and by the size and the time of change of its file.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
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

import facezoo
from facezoo.errors import DAMAGED_FILE, ConfigError, DataError
from facezoo.inference.detector import Detector
from facezoo.inference.loading import LoadedModel
from facezoo.structures import NUM_LANDMARKS, Faces

logger = logging.getLogger(__name__)

KEY = "key.json"
SHARDS = "*.npz"
SECONDS_PER_SHARD = 20.0
"""An evaluation that is killed loses no more work than that, and one batch."""

Stamp = tuple[int, int]


class PredictionCache:
    """The faces that one way of finding them gave for some photographs.

    Args:
        folder: of the cache, made where it is missing; several ways share it.
        key: all that the faces depend on, as plain data; see ``prediction_key``.
        files: of the photographs that are asked for, by image id.

    Raises:
        DataError: a photograph is not there.
    """

    def __init__(self, folder: Path, key: Mapping[str, Any], files: Mapping[str, Path]) -> None:
        text = json.dumps(key, indent=2, sort_keys=True)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / KEY).exists():
            _write_whole(self.folder / KEY, (text + "\n").encode())
        self._stamps = {image_id: _stamp(path) for image_id, path in files.items()}
        self._waiting: dict[str, Faces] = {}
        self._written_at = time.monotonic()

    def read(self) -> dict[str, Faces]:
        """Returns the faces of the photographs that are known, by image id.

        A shard that is damaged is removed and named in the log; its photographs are not known.
        """
        known: dict[str, Faces] = {}
        for path in sorted(self.folder.glob(SHARDS)):
            data = path.read_bytes()
            try:
                known |= _unpack(data, self._stamps)
            except (*DAMAGED_FILE, zlib.error):
                path.unlink()
                logger.warning(
                    "%s is damaged and was removed; its photographs are looked at again.", path
                )
        return known

    def add(self, faces: Mapping[str, Faces]) -> None:
        """Keeps what was found, by image id; it is written with what comes within some seconds."""
        self._waiting |= faces
        if time.monotonic() - self._written_at >= SECONDS_PER_SHARD:
            self.write()

    def write(self) -> None:
        """Writes what is not written yet."""
        if self._waiting:
            name = f"{uuid.uuid4().hex}{Path(SHARDS).suffix}"
            _write_whole(self.folder / name, _pack(self._waiting, self._stamps))
        self._waiting = {}
        self._written_at = time.monotonic()


def prediction_key(loaded: LoadedModel, detector: Detector) -> dict[str, Any]:
    """Returns what the faces that a detector finds depend on, but for the photographs.

    Batch size, device and torch's version are among it, as they move results by rounding errors.

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
        "code": _code_of(loaded.model),
        "facezoo": facezoo.__version__,
        "torch": torch.__version__,
        "device": detector.device_name,
        "batch_size": detector.batch_size,
        "max_pixels": detector.max_pixels,
    }


def _code_of(model: torch.nn.Module) -> str:
    """Returns a digest of the files that define a model's parts, which may be a user's own."""
    modules = sorted({type(part).__module__ for part in model.modules()})
    digest = hashlib.sha256()
    for name in modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file is None:
            raise ConfigError(
                f"A part of the model is defined in {name}, which is no file, so that a cache "
                "cannot tell when it changes; move the part into a module, or leave the cache out."
            )
        digest.update(name.encode() + Path(file).read_bytes())
    return digest.hexdigest()


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(
            f"The image {path} cannot be found ({error.strerror}); check the path."
        ) from error
    return found.st_size, found.st_mtime_ns


def _pack(found: Mapping[str, Faces], stamps: Mapping[str, Stamp]) -> bytes:
    """Returns the bytes of a shard."""
    faces = list(found.values())
    has_landmarks = [one.landmarks is not None for one in faces]
    buffer = BytesIO()
    np.savez(
        buffer,
        image_ids=np.array(list(found)),
        stamps=np.array([stamps[image_id] for image_id in found], np.int64),
        counts=np.array([len(one) for one in faces], np.int64),
        boxes=np.concatenate([one.boxes for one in faces]),
        scores=np.concatenate([one.scores for one in faces]),
        has_landmarks=np.array(has_landmarks, np.bool_),
        landmarks=np.concatenate(
            [np.zeros((0, NUM_LANDMARKS, 2), np.float32)]
            + [one.landmarks for one in faces if one.landmarks is not None]
        ),
    )
    return buffer.getvalue()


def _unpack(data: bytes, stamps: Mapping[str, Stamp]) -> dict[str, Faces]:
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
        if stamps.get(image_id) == tuple(stamp):
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
