"""What people read: on the terminal, as Markdown, as charts and as a page."""
