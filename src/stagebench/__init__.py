"""stagebench: how TensorFlow and PyTorch compare on an image-classification pipeline, stage by stage."""

__version__ = "0.1.0"
