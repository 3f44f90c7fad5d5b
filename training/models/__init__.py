"""Networks as torch modules, and the training of each."""
