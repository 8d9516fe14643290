"""How files are read before they are columns: what [source] says of them, decompression, records, refusals."""
