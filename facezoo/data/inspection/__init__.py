"""What is wrong with a data set: an annotation is read without refusing anything, then checked."""

from facezoo.data.inspection.annotation_file import AnnotationFile
from facezoo.data.inspection.check import Inspection, inspect
from facezoo.data.inspection.findings import KINDS, Finding
from facezoo.data.inspection.repair import write_repaired
from facezoo.data.inspection.sources import open_annotation_files

__all__ = [
    "KINDS",
    "AnnotationFile",
    "Finding",
    "Inspection",
    "inspect",
    "open_annotation_files",
    "write_repaired",
]
