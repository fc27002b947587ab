"""Commands as data, their graph, fingerprints, reasons and splits; nothing is run here.

`command` declares; `graph` merges and orders; `scan` compares with what is on disk and says what
must run and why; `split` cuts it; `plan` puts the steps together.
"""
