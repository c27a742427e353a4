"""Networks: blocks of layers, committees, integer networks, and their files."""
