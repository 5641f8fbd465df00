"""The networks: one file each, with shapes, operations and canonical weights."""
