"""Many responses of one design with one grouping factor, fitted as one array operation."""
