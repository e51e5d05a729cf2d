"""What is wrong with a data set: an annotation is read without refusing anything, then checked."""

from facezoo.datatools.inspection.annotation_file import AnnotationFile
from facezoo.datatools.inspection.check import Inspection, inspect
from facezoo.datatools.inspection.findings import KINDS, Finding
from facezoo.datatools.inspection.repair import write_repaired
from facezoo.datatools.inspection.sources import open_annotation_files

__all__ = [
    "KINDS",
    "AnnotationFile",
    "Finding",
    "Inspection",
    "inspect",
    "open_annotation_files",
    "write_repaired",
]
