"""Files to pictures: sniffing, decoding, identity."""
