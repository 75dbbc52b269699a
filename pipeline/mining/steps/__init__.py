"""Step rules: from a gradient to the direction of one step. One short class each."""
