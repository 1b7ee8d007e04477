"""The scope gate's model card, docs/README.md of its package: what it lets through and refuses, kind by kind."""

from __future__ import annotations

from collections.abc import Sequence

from training.attributions import NOT_A_DEVICE
from training.evaluate_intervals import wilson
from training.scope_check import KindCount
from training.scope_network import IN_SCOPE, SCOPE_CLASSES

REASONS = {
    "not_a_chest": "not a chest film",
    "upside_down": "upside down",
    "rotated": "turned",
    "inverted": "black and white exchanged",
}


def gate_card(*, version: str, threshold: float, train_pictures: int, counts: Sequence[KindCount]) -> str:
    """Return the card of the scope gate."""
    in_scope = SCOPE_CLASSES[IN_SCOPE]
    wanted = [count for count in counts if count.expected == in_scope]
    unwanted = [count for count in counts if count.expected != in_scope]
    return f"""# Chest scope gate, version {version}

{NOT_A_DEVICE}
## What it is for

Before any other network sees a picture, this one decides whether it is what they were made for: **one whole chest of
a human, seen from the front or from the back, upright, bones white**. Any other picture gets no score, and says why:
{_sentence()}. A refused picture is still shown to the radiologist, in the same list.

## How well it does

Every picture below is one that it did not learn from. **Never learned** means more: it learned from no picture of that
kind at all, so these rows tell best how it meets something new. The brackets are 95 % intervals (Wilson): the range in
which the share would most likely lie if many more such pictures were looked at.

### Films that it must let through

{_table(wanted, "let through", kept=True)}

### Pictures that it must refuse

{_table(unwanted, "refused", kept=False)}

"Right reason" counts the pictures whose refusal also named the best fitting reason. A wrong reason does no harm to the
patient, for the picture stays unscored either way; it only tells the wrong thing to the person who looks into it.

From "tilted" and from "upside down" on, the rows are validation films changed by computer, or drawings. The real DICOM
files hold some films several times in other codings (the 19 chest files are 5 films, the 7 other body parts are 6):
their intervals are a little too narrow.

What was chosen after a look, so that these rows are a little too good: the unaltered validation films set the two
limits of the gate (see below). One of them was moved from the 99.5th to the 99.9th percentile when 7 of the 200 films
of Hannover had been refused by the first version. "Cables, electrodes and tubes" and "several films in one picture"
were never learned at first; 67 of 327 of the former were refused and 26 of 328 of the latter let through, so now they
are learned. The animal was refused as `rotated` before distance was made to speak louder for `not_a_chest`.

The header of a file is checked before the gate, and refuses what calls itself CT, MR, ultrasound, mammogram, hip or
lateral. The figures here are those of the gate alone, as if no header had said anything.

## How it works

A network that was trained on photographs of everyday things (EfficientNet-Lite0 with its ImageNet weights, unchanged)
describes the picture, place by place. A small classifier reads the description and chooses between "in scope" and the
four reasons; and a second, independent measure tells how unlike all known chest films the description is (Mahalanobis
distance). A picture passes when the classifier gives at least {threshold:.2f} to "in scope" and the distance is not
larger than that of nearly all validation films; beyond it "in scope" quickly becomes impossible, however sure the
classifier is.

It learned from {train_pictures:,} pictures: chest films (Kermany and NIH, training part only) as they are and as other
units would send them; the same films turned, on their head, inverted, and cut or put together so that no whole chest
is left; drawn limbs, trunks, breasts, documents, shapes and noise; and a few photographs, maps, a CT and an MR slice
that Python packages carry (scikit-learn, matplotlib, pydicom-data).

## Limits

* **Pictures that could not be had for training**: lateral chest films of humans, real radiographs of other body parts
  (abdomen, spine, skull, limbs, teeth), chest films of animals, newborns, photographs of films taken with a phone.
  The few real radiographs of other body parts in the table are all that there were to check with: the interval says
  how little that proves. **A lateral film must be kept out by its header** (view position, orientation or
  description).
* **A film with left and right exchanged is let through** (see the table): the gate cannot tell it from a heart on the
  right side. Only the side marker and the radiologist can.
* A film that was exposed twice is often let through (see the table). The radiologist sees it at once.
* Turned by 15 to 40 degrees lies between upright and turned; either answer may come.
* The variations are made by computer from real films. Real films of very large patients, of children between 6 and
  17 years, after removal of a lung or with large implants were not at hand in numbers.
* A whole chest says nothing about quality: rotation of the patient around the long axis, poor inspiration or wrong
  exposure are not looked for.

## Licences

The weights are Apache-2.0 (LICENSE). ATTRIBUTIONS.md names the data and their authors, whom you must name when you
pass the weights on.
"""


def _sentence() -> str:
    words = [f"{meaning} (`{reason}`)" for reason, meaning in REASONS.items()]
    return f"{', '.join(words[:-1])} or {words[-1]}"


def _table(counts: Sequence[KindCount], verb: str, *, kept: bool) -> str:
    reason = "" if kept else " right reason |"
    lines = [
        f"| kind | learned? | pictures | {verb} | share |{reason}",
        f"| --- | --- | ---: | ---: | --- |{'' if kept else ' ---: |'}",
    ]
    for count in counts:
        done = count.kept if kept else count.pictures - count.kept
        bounds = wilson(done, count.pictures)
        lines.append(
            f"| {count.kind} | {'learned' if count.learned else '**never learned**'} | {count.pictures} | {done} | "
            f"{_percent(bounds.value)} % [{_percent(bounds.low)}, {100 * bounds.high:.1f}] |"
            + ("" if kept else f" {count.right} |")
        )
    return "\n".join(lines)


def _percent(share: float) -> str:
    """Return a share in percent, cut so that nothing but a whole share reads as 100.0."""
    return f"{int(share * 1000 + 1e-9) / 10:.1f}"
