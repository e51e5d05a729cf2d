"""Necks: features of all strides told of each other."""

from facezoo.models.necks.fpn import FPN
from facezoo.models.necks.neck import Neck
from facezoo.models.necks.pafpn import PAFPN
from facezoo.models.necks.ssh import SSH

__all__ = ["FPN", "PAFPN", "SSH", "Neck"]
