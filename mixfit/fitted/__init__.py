"""What is known once a model is fitted: estimates, modes, predictions and simulations, of text nothing."""
