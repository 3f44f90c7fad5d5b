"""One training run: loop, checkpoints, split, recipes, estimates, and the weights it publishes."""
