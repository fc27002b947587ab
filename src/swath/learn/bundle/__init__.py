"""A trained model in one file, with everything that is needed to use and to prove it elsewhere."""
