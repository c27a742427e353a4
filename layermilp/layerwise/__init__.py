"""The layerwise method of Goebbels 2021: fits, sweeps, training in batches."""
