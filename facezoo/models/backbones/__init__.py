"""Backbones: from an image to features of several strides."""

from facezoo.models.backbones.base import Backbone
from facezoo.models.backbones.mobilenet_v1 import MobileNetV1
from facezoo.models.backbones.timm import TimmBackbone

__all__ = ["Backbone", "MobileNetV1", "TimmBackbone"]
