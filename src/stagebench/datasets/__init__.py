"""The data set: a tree of JPEG files in class folders, and the manifest that both frameworks read."""
