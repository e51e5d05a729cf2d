"""Backbones: from an image to features of several strides."""

from facezoo.models.backbones.backbone import Backbone
from facezoo.models.backbones.csp_darknet import CSPDarknet
from facezoo.models.backbones.darknet53 import Darknet53
from facezoo.models.backbones.mobilenet_v1 import MobileNetV1
from facezoo.models.backbones.shufflenet_v2 import ShuffleNetV2
from facezoo.models.backbones.timm_backbone import TimmBackbone

__all__ = ["Backbone", "CSPDarknet", "Darknet53", "MobileNetV1", "ShuffleNetV2", "TimmBackbone"]
