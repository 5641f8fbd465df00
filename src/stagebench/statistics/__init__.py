"""What samples say: ratios with their intervals. Nothing here runs anything."""
