"""The paper's formulas as printed, where they are wrong; the right ones are elsewhere."""
