"""Frames of numbers that print as R prints them, as text and as HTML."""
