"""The write-ups that the project implements: their figures, their tables, and how `published` differs."""
