"""Synthetic faces with true geometry: textured 3-D heads, animated portraits, drawn characters."""
