"""The room of the model matrices: a parsed formula and a data frame become arrays, names and levels."""

from mixfit.matrices.build import build
from mixfit.matrices.new_rows import DesignReader, NewDesign, NewPredictor
from mixfit.matrices.types import Design, Grouping, Predictor, RandomDesign

__all__ = ["Design", "DesignReader", "Grouping", "NewDesign", "NewPredictor", "Predictor", "RandomDesign", "build"]
