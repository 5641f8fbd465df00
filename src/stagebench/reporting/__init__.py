"""What people read: the terminal, and the extra columns of the saved JSON."""
