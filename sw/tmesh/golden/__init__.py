"""The golden models: `reference` is float64 mathematics, `fixed` the core's exact integers."""
