"""mixfit: mixed-effects models that people trust as they trust lme4."""
