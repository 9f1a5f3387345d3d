"""Running chapters and keeping their figures: parameters, results, oracles."""
