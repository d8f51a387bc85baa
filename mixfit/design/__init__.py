"""The design room: a parsed formula and a data frame become arrays, names and levels."""

from mixfit.design.build import build
from mixfit.design.new_rows import DesignReader, NewDesign, NewPredictor
from mixfit.design.types import Design, Grouping, Predictor, RandomDesign

__all__ = ["Design", "DesignReader", "Grouping", "NewDesign", "NewPredictor", "Predictor", "RandomDesign", "build"]
