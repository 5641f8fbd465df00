"""A session: worker processes, their schedule, and what is kept of them."""
