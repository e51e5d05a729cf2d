"""Necks: from features of several strides to features that combine them."""

from facezoo.models.necks.fpn import FPN, SSH, Neck
from facezoo.models.necks.pafpn import PAFPN

__all__ = ["FPN", "PAFPN", "SSH", "Neck"]
