"""DICOMweb: search (QIDO-RS) and retrieve (WADO-RS) over what is stored (PS3.18)."""
