"""Choice of a clean-up of predictions on validation cases."""

from monai_topo.cleanup.choice import CleanUpChoice, choose_cleanup
from monai_topo.cleanup.cross_validation import CrossValidatedScores

__all__ = ["CleanUpChoice", "CrossValidatedScores", "choose_cleanup"]
