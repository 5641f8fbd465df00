"""What `stagebench versions`, `env` and `gate` need: versions of frameworks against each other."""
