"""``facezoo detect``: find faces in photographs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facezoo.cli.output import stdout, write_json
from facezoo.cli.parsing import (
    Parser,
    add_allow_imports,
    add_running_options,
    add_verb,
    names_a_model,
)
from facezoo.errors import ConfigError, DataError
from facezoo.terminal import terminal
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
        "                      [--protocol P] [--score-thresh S] [--nms-thresh I]\n"
        "                      [--device D] [--batch-size N] [--allow-imports]",
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
    _add_options(parser)
    add_running_options(parser)
    parser.set_defaults(run=run)


def _add_options(parser: Parser) -> None:
    parser.add_argument("--weights", metavar="W", help="weights (default: the model's own)")
    add_allow_imports(parser)
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


def run(arguments: argparse.Namespace) -> int:
    """Finds, prints, draws; an unreadable photograph is counted and the others go on."""
    out = arguments.out if arguments.draw else None
    photographs = find_photographs(arguments.words, out)
    _check_written(photographs, out, arguments.json)
    from facezoo.inference.detector import Detector

    detector = Detector(
        arguments.model,
        weights=arguments.weights,
        allow_imports=arguments.allow_imports,
        protocol=arguments.protocol,
        score_thresh=arguments.score_thresh,
        nms_thresh=arguments.nms_thresh,
        device=arguments.device,
        batch_size=arguments.batch_size,
    )
    described = detector.describe()
    settings = "; ".join(f"{name} {value}" for name, value in described.items())
    terminal().print(settings, soft_wrap=True)
    results, failures = _detect(detector, photographs, out)
    found = sum(len(one["faces"]) for one in results)
    stdout().print(f"{_counted(found, 'face')} in {_counted(len(results), 'photograph')}")
    if out is not None and results:
        stdout().print(f"drawn into {out}")
    if arguments.json is not None:
        write_json(arguments.json, {**described, "images": results, "failures": failures})
        stdout().print(f"written to {arguments.json}")
    if failures:
        terminal().print(f"{len(failures)} of {len(photographs)} photographs could not be read.")
    return 1 if failures else 0


def find_photographs(words: Sequence[str], out: Path | None) -> dict[Path, Path]:
    """Returns the photographs to look at, and the name of each below the output folder.

    Args:
        words: files, taken as they are; and folders, of whose files the pictures are taken.
        out: the output folder, or None where nothing is drawn. Pictures in it are passed over and
            counted on the terminal where it lies within one of the folders.

    Raises:
        DataError: a path does not exist, or there is no photograph at all.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, words):
        if path.is_dir():
            for file in _pictures_in(path, out):
                found.setdefault(file, file.relative_to(path))
        elif path.is_file():
            known = path.suffix.lower() in SUFFIXES
            found.setdefault(path, Path(path.name if known else f"{path.name}.png"))
        else:
            raise DataError(f"There is no file or folder {path}.")
    if not found:
        raise DataError(f"There is no photograph in {', '.join(words)}.")
    return _distinct(found)


def _pictures_in(folder: Path, out: Path | None) -> list[Path]:
    """Returns the pictures of a folder, without those that were drawn into it earlier."""
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() in SUFFIXES]
    pictures = [file for file in files if file.is_file()]
    drawings = None if out is None else out.resolve()
    if drawings is None or folder.resolve() not in drawings.parents:
        return pictures
    others = [file for file in pictures if drawings not in file.resolve().parents]
    if len(others) < len(pictures):
        terminal().print(f"{len(pictures) - len(others)} pictures in {out} are passed over.")
    return others


def _check_written(photographs: dict[Path, Path], out: Path | None, json: Path | None) -> None:
    """Refuses to write over a photograph, also over one that was not asked for.

    An output folder that holds photographs may hold more of them, so that nothing in it is
    overwritten; in one of its own, a second run replaces the drawings of the first.

    Raises:
        ConfigError: a file to be written is a photograph, or may be one.
    """
    originals = {photograph.resolve() for photograph in photographs}
    drawings = [] if out is None else [out / name for name in photographs.values()]
    mixed = out is not None and any(out.resolve() in one.parents for one in originals)
    for path in [*drawings, *([] if json is None else [json])]:
        if path.resolve() in originals:
            raise ConfigError(
                f"Writing {path} would overwrite the photograph; give another --out or --json."
            )
    for path in drawings:
        if mixed and path.exists():
            raise ConfigError(
                f"Drawing {path} would overwrite a file in {out}, which also holds photographs; "
                "give another --out."
            )


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

    from facezoo.data.images import read_image, write_image
    from facezoo.inference.drawing import draw_faces

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
                    write_image(out / photographs[path], draw_faces(image, faces))
            progress.advance(task, detector.batch_size)
    return results, failures


def _summary(faces: Faces) -> str:
    if not len(faces):
        return "no faces"
    best, worst = faces.scores.max(), faces.scores.min()
    return f"{_counted(len(faces), 'face')}, scores {best:.2f} to {worst:.2f}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


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
