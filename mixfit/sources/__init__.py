"""Where rows come from when they are too many for memory: files, datasets, databases, lazy frames, in batches."""
