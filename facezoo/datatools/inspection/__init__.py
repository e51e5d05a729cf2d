"""What is wrong with a data set: an annotation is read without refusing anything, then checked."""

from facezoo.datatools.inspection.check import KINDS, Inspection, inspect
from facezoo.datatools.inspection.repair import write_repaired

__all__ = ["KINDS", "Inspection", "inspect", "write_repaired"]
