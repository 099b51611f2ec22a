"""HTML reports: topological errors of predictions, and checks of labels before training."""
