"""The networks in Keras: one file each, which builds it and names its layers."""
