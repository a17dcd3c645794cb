"""What a run costs, predicted: by hand count, or by compiling its programs for a chip."""
