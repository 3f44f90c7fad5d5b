"""Files to pictures and pictures to files: decoding, and the labelled image."""
