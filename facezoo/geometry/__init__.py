"""Boxes, IoU, priors, codecs and non-maximum suppression, without anything of networks."""
