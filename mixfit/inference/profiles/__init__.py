"""Parameters on natural scales, the likelihood as their function, and the intervals that it gives."""
