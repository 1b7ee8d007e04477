"""Publish: findings, DICOM SR, heat-map overlay, QIDO-RS and WADO-RS."""
