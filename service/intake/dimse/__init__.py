"""The DICOM listener: receive side of the upper layer, C-ECHO and C-STORE."""
