"""Broken DICOM files by the thousand: (seed file, 64-bit seed) → file and record of what was done to it."""
