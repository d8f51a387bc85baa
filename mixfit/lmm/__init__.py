"""Linear mixed models: criterion, derivatives, start values, estimates."""
