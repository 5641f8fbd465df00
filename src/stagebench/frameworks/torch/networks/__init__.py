"""The networks in PyTorch: one file each, which builds it and names its layers."""
