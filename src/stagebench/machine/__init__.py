"""The machine: what it is, what it could do at best, its memory and its disk."""
