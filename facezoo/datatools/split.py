"""Parts of a data set as lists of image names, which depend on names and seed alone."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Literal

from facezoo.data.annotations.image_files import list_images
from facezoo.errors import ConfigError, DataError

PART_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
EXAMPLE = "such as train=0.8,val=0.2"


def parse_parts(text: str) -> dict[str, Fraction]:
    """Returns the parts of ``train=0.8,val=0.2``.

    Fractions are exact, so that no machine rounds another way.

    Raises:
        ConfigError: the text has another form.
    """
    parts: dict[str, Fraction] = {}
    for entry in text.split(","):
        name, _, share = (word.strip() for word in entry.partition("="))
        try:
            value = Fraction(share)
        except (ValueError, ZeroDivisionError) as error:
            raise ConfigError(
                f"The part {entry!r} is no name with a share; give parts {EXAMPLE}."
            ) from error
        if name in parts:
            raise ConfigError(f"The part {name!r} is named twice; name it once.")
        parts[name] = value
    return parts


def divide(
    names: Iterable[str],
    parts: Mapping[str, Fraction],
    *,
    by: Literal["event", "image"] = "image",
    number: int | None = None,
    seed: int = 0,
) -> dict[str, list[str]]:
    """Returns the names of each part, sorted; see ``split_images``.

    The draw sorts names by their hash, so that neither the order of files nor a library's random
    numbers change it.

    Raises:
        ConfigError: a share is not above 0, they sum to more than 1, a part cannot be the name of
            a file, or ``by`` or ``number`` is wrong.
        DataError: there are too few images or events for the parts.
    """
    _check_parts(parts)
    drawn = sorted(set(names), key=lambda name: _draw(seed, name))
    if number is not None and number < 1:
        raise ConfigError(f"The number of images to divide is {number}; give one above 0.")
    if number is not None and number > len(drawn):
        raise DataError(
            f"There are {len(drawn)} images, fewer than the {number} to divide; ask for fewer."
        )
    drawn = drawn[:number]
    if by == "image":
        # Bounds are rounded sums of shares, so that shares that sum to 1 leave no image over.
        sums = accumulate(parts.values(), initial=Fraction(0))
        bounds = pairwise(round(total * len(drawn)) for total in sums)
        divided = {name: drawn[a:b] for name, (a, b) in zip(parts, bounds, strict=True)}
    elif by == "event":
        divided = _divide_events(drawn, parts, seed)
    else:
        raise ConfigError(f"Images are divided by event or image, not by {by!r}.")
    for name, images in divided.items():
        if not images:
            advice = "divide by image" if by == "event" else "take more images or a larger share"
            raise DataError(
                f"The part {name!r} of {len(drawn)} images would be empty, as there are too few "
                f"{by}s for its share; {advice}."
            )
    return {name: sorted(images) for name, images in divided.items()}


def split_images(
    root: Path,
    parts: Mapping[str, Fraction],
    out: Path,
    *,
    by: Literal["event", "image"] = "image",
    number: int | None = None,
    seed: int = 0,
) -> dict[Path, list[str]]:
    """Divides the images of a folder and writes a list of names for each part.

    Args:
        root: folder of the images, such as ``WIDER_train/images``.
        parts: share of each part by name; what shares short of 1 leave over is in no part.
        out: folder for the lists ``<part>.txt``, none of which may exist.
        by: what stays together: all images of an event (a folder), which meets the shares as far
            as the sizes of events allow, or each image for itself, which meets them exactly.
        number: how many images are divided, drawn at random (default: all).
        seed: of the draw; another one gives other parts.

    Returns:
        The names in each file that was written.

    Raises:
        ConfigError: see ``divide``.
        DataError: see ``divide``; also, there is no such folder, or a list exists.
    """
    inner = sorted(root.glob("WIDER_*/images"))
    if inner:
        raise DataError(
            f"{root} has a folder of images for each split; name one of them, such as {inner[0]}."
        )
    divided = divide(list_images(root), parts, by=by, number=number, seed=seed)
    lists = {out / f"{part}.txt": names for part, names in divided.items()}
    for path in lists:
        if path.exists():
            raise DataError(f"The list {path} exists already; name another --out, or remove it.")
    out.mkdir(parents=True, exist_ok=True)
    for path, names in lists.items():
        path.write_text("\n".join(names) + "\n", encoding="utf-8")
    return lists


def _check_parts(parts: Mapping[str, Fraction]) -> None:
    for name, share in parts.items():
        if not PART_NAME.fullmatch(name):
            raise ConfigError(f"The part {name!r} cannot be the name of a list; give {EXAMPLE}.")
        if share <= 0:
            raise ConfigError(f"The share of the part {name!r} is {share}; give one above 0.")
    total = sum(parts.values())
    if total > 1:
        raise ConfigError(
            f"The shares of the parts sum to {float(total):g}; give shares that sum to at most 1."
        )


def _draw(seed: int, name: str) -> bytes:
    """Returns what names are sorted by."""
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def _divide_events(
    drawn: Sequence[str], parts: Mapping[str, Fraction], seed: int
) -> dict[str, list[str]]:
    """Gives each event, in the order of the draw, to the part that lacks most images."""
    by_event = defaultdict(list)
    for name in drawn:
        by_event[name.rpartition("/")[0]].append(name)
    # What the shares leave over is one more part, the last.
    shares = [*parts.values(), 1 - sum(parts.values())]
    lacking = [share * len(drawn) for share in shares]
    divided: list[list[str]] = [[] for _ in shares]
    for event in sorted(by_event, key=lambda event: _draw(seed, event)):
        place = max(range(len(shares)), key=lacking.__getitem__)
        divided[place] += by_event[event]
        lacking[place] -= len(by_event[event])
    return dict(zip(parts, divided, strict=False))
