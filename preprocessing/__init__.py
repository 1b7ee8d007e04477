"""Files and arrays in, arrays out: what training and serving share. No network, no database."""
