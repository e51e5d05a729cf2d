"""Necks: from features of several strides to features that combine them."""

from facezoo.models.necks.fpn import FPN, SSH
from facezoo.models.necks.neck import Neck
from facezoo.models.necks.pafpn import PAFPN

__all__ = ["FPN", "PAFPN", "SSH", "Neck"]
