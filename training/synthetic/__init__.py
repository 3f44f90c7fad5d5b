"""Examples to learn from: drawn, painted, cut out, augmented."""
