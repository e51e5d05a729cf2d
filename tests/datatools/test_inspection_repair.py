"""What a cleaned copy leaves out, and what is never written over.

That a copy has no fault left is tested where the faults are planted.
"""

import cv2
import numpy as np
import pytest

from facezoo.data.annotations import open_annotation_files
from facezoo.datatools.inspection import inspect, write_repaired
from facezoo.errors import ConfigError, DataError

ZEROS = "0 0 0 0 0 0"


def write(folder, rows):
    """Writes an annotation of two images of 60 x 50; the rows are those of the first."""
    images = folder / "images"
    images.mkdir(parents=True)
    for grey, name in enumerate("ab"):
        cv2.imwrite(str(images / f"{name}.png"), np.full((50, 60, 3), grey, np.uint8))
    faces = "".join(f"{row} {ZEROS}\n" for row in rows)
    path = folder / "faces.txt"
    path.write_text(f"a.png\n{len(rows)}\n{faces}b.png\n1\n0 0 9 9 {ZEROS}\n")
    return path


def clean(path, out):
    write_repaired(inspect(open_annotation_files(path)), path, out)
    return (out / path.name).read_text(), (out / "changes.txt").read_text().splitlines()


def test_clipping_keeps_the_rest_of_the_line(tmp_path):
    path = write(tmp_path, ["50.5 -8 20 30", "1 2 3 4"])
    text, changes = clean(path, tmp_path / "fixed")
    assert text == path.read_text().replace("50.5 -8 20 30", "50.5 0 9.5 22")
    assert len(changes) == 2 and changes[1].startswith(f"{path}:3: a.png: ")


def test_an_overhang_of_a_pixel_is_left(tmp_path):
    path = write(tmp_path, ["-1 -1 20 20", "50 40 11 11"])
    assert clean(path, tmp_path / "fixed")[0] == path.read_text()


def test_an_image_that_loses_its_last_face_goes_too(tmp_path):
    path = write(tmp_path, ["90 0 9 9", "0 0 0 9"])
    text, changes = clean(path, tmp_path / "fixed")
    assert text == f"b.png\n1\n0 0 9 9 {ZEROS}\n"
    assert changes[-1] == f"{path}:1: a.png: no face is left; image removed"


def test_nothing_is_written_over(tmp_path):
    path = write(tmp_path, ["1 2 3 4"])
    inspections = inspect(open_annotation_files(path))
    with pytest.raises(ConfigError, match="exists already; give --fix an empty or new folder"):
        write_repaired(inspections, path, tmp_path)
    (tmp_path / "fixed").mkdir()
    (tmp_path / "fixed" / "changes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"changes.txt exists already"):
        write_repaired(inspections, path, tmp_path / "fixed")


def test_nothing_is_left(tmp_path):
    (tmp_path / "one.txt").write_text("a.jpg\n1\n0 0 0 0 0 0 0 0 0 0\n")
    inspections = inspect(open_annotation_files(tmp_path / "one.txt"))
    with pytest.raises(DataError, match="Nothing is left of"):
        write_repaired(inspections, tmp_path / "one.txt", tmp_path / "fixed")


@pytest.mark.parametrize("faces", ["1\n1 2 x 4 0 0 0 0 0 0", "2", "two"])
def test_an_image_whose_faces_cannot_be_read_goes(tmp_path, faces):
    path = tmp_path / "faces.txt"
    rest = "b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\nc.jpg\n1\n1 2 3 4 0 0 0 0 0 0\n"
    path.write_text(f"a.jpg\n{faces}\n{rest}")
    write_repaired(inspect(open_annotation_files(path)), path, tmp_path / "fixed")
    assert (tmp_path / "fixed" / "faces.txt").read_text() == rest
