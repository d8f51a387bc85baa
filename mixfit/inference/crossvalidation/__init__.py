"""How well a model predicts rows that it was not fitted to: splits, predictions without refits, scores."""
