"""The stages: what is set up, timed and validated."""
