"""Reports for a browser: what is topologically wrong with predictions and where, and what labels are made of."""
