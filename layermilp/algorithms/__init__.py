"""How problems are minimized, the same for every trainer."""
