"""``facezoo detect``: find faces in photographs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facezoo.cli.output import stdout, write_json
from facezoo.cli.parsing import add_verb, names_a_model
from facezoo.engine.terminal import terminal
from facezoo.errors import DataError
from facezoo.zoo.catalogue import DEFAULT_MODEL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facezoo.inference.detector import Detector
    from facezoo.structures import Faces

NAME = "detect"
SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
SCORE_THRESH = 0.5


def add_parser(verbs: Any) -> None:
    """Adds the verb."""
    parser = add_verb(
        verbs,
        NAME,
        "find faces in photographs",
        "PATH [PATH ...] [--model M] [--weights W] [--out DIR] [--json FILE] [--draw]\n"
        "                      [--protocol P] [--score-thresh S] [--nms-thresh I]",
        "Find faces in photographs and in folders of them, with their subfolders. Without --model\n"
        f"the model that comes along is used ({DEFAULT_MODEL}); nothing is downloaded.",
        "  facezoo detect photo.jpg --draw\n"
        "  facezoo detect holiday/ --json faces.json --score-thresh 0.3\n"
        "  facezoo detect photo.jpg --model runs/retinaface_r50/2025-01-31_12-00-00 --draw",
    )
    parser.add_argument("words", nargs="+", metavar="PATH", help="a photograph or a folder")
    names_a_model(
        parser.add_argument(
            "--model",
            default=DEFAULT_MODEL,
            metavar="M",
            help="name, YAML file, run folder or checkpoint (default: %(default)s)",
        )
    )
    parser.add_argument("--weights", metavar="W", help="weights (default: the model's own)")
    parser.add_argument(
        "--allow-imports",
        action="store_true",
        help="let a config that comes out of a run or checkpoint import its plug-ins",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("detections"),
        metavar="DIR",
        help="folder of the drawn pictures (default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all faces to a file")
    parser.add_argument("--draw", action="store_true", help="write pictures with the faces drawn")
    parser.add_argument(
        "--protocol",
        default="original",
        metavar="P",
        help="the scale: original, vga, short1600, long:N, short:N or fixed:N (default: original)",
    )
    parser.add_argument(
        "--score-thresh",
        type=float,
        default=SCORE_THRESH,
        metavar="S",
        help="lowest score of a face (default: %(default)s)",
    )
    parser.add_argument(
        "--nms-thresh",
        type=float,
        metavar="I",
        help="IoU above which the worse of two faces is dropped (default: the model's own)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Finds, prints, draws; an unreadable photograph is counted and the others go on."""
    photographs = find_photographs(arguments.words, arguments.out)
    from facezoo.inference.detector import Detector

    detector = Detector(
        arguments.model,
        weights=arguments.weights,
        allow_imports=arguments.allow_imports,
        protocol=arguments.protocol,
        score_thresh=arguments.score_thresh,
        nms_thresh=arguments.nms_thresh,
    )
    described = detector.describe()
    terminal().print("; ".join(f"{name} {value}" for name, value in described.items()))
    results, failures = _detect(detector, photographs, arguments.out if arguments.draw else None)
    found = sum(len(one["faces"]) for one in results)
    stdout().print(f"{found} faces in {len(results)} photographs")
    if arguments.draw and results:
        stdout().print(f"drawn into {arguments.out}")
    if arguments.json is not None:
        write_json(arguments.json, {**described, "images": results, "failures": failures})
    if failures:
        terminal().print(f"{len(failures)} of {len(photographs)} photographs could not be read.")
    return 1 if failures else 0


def find_photographs(words: Sequence[str], out: Path) -> dict[Path, Path]:
    """Returns the photographs to look at, and the name of each below the output folder.

    Args:
        words: files, taken as they are; and folders, of whose files the pictures are taken.
        out: the output folder, whose pictures are passed over.

    Raises:
        DataError: a path does not exist, or there is no photograph at all.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, words):
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                inside = out.resolve() in file.resolve().parents
                if file.suffix.lower() in SUFFIXES and file.is_file() and not inside:
                    found.setdefault(file, file.relative_to(path))
        elif path.is_file():
            found.setdefault(path, Path(path.name))
        else:
            raise DataError(f"There is no file or folder {path}.")
    if not found:
        raise DataError(f"There is no photograph in {', '.join(words)}.")
    return _distinct(found)


def _distinct(found: dict[Path, Path]) -> dict[Path, Path]:
    """Returns the same with a number added to names that would overwrite another."""
    taken: set[Path] = set()
    for path, name in found.items():
        number, free = 2, name
        while free in taken:
            free = name.with_stem(f"{name.stem}_{number}")
            number += 1
        taken.add(free)
        found[path] = free
    return found


def _detect(
    detector: Detector, photographs: dict[Path, Path], out: Path | None
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Returns a record per photograph, and one per file that could not be read."""
    from rich.progress import Progress

    from facezoo.data.images import read_image

    results: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    paths = list(photographs)
    console = terminal()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("detecting", total=len(paths))
        for start in range(0, len(paths), detector.batch_size):
            images: dict[Path, NDArray[np.uint8]] = {}
            for path in paths[start : start + detector.batch_size]:
                try:
                    images[path] = read_image(path)
                except DataError as error:
                    failures.append({"path": str(path), "error": str(error)})
                    console.print(f"{path}: {error}")
            for (path, image), faces in zip(
                images.items(), detector(list(images.values())), strict=True
            ):
                results.append(_record(path, image, faces))
                stdout().print(f"{path}: {_summary(faces)}")
                if out is not None:
                    _draw(image, faces, out / photographs[path])
            progress.advance(task, detector.batch_size)
    return results, failures


def _summary(faces: Faces) -> str:
    if not len(faces):
        return "no faces"
    noun = "face" if len(faces) == 1 else "faces"
    return f"{len(faces)} {noun}, scores {faces.scores.max():.2f} to {faces.scores.min():.2f}"


def _record(path: Path, image: NDArray[np.uint8], faces: Faces) -> dict[str, Any]:
    """Returns what a JSON file says of a photograph, in its pixels."""
    records: list[dict[str, Any]] = []
    for i in range(len(faces)):
        record: dict[str, Any] = {
            "box": [round(float(side), 2) for side in faces.boxes[i]],
            "score": round(float(faces.scores[i]), 5),
        }
        if faces.landmarks is not None:
            record["landmarks"] = [
                [round(float(x), 2), round(float(y), 2)] for x, y in faces.landmarks[i]
            ]
        records.append(record)
    height, width = image.shape[:2]
    return {"path": str(path), "width": width, "height": height, "faces": records}


def _draw(image: NDArray[np.uint8], faces: Faces, path: Path) -> None:
    import cv2

    from facezoo.inference.drawing import draw_faces

    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = cv2.cvtColor(draw_faces(image, faces), cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), drawn):
        raise DataError(f"The picture {path} could not be written; is the disk full?")
