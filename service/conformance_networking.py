"""The conformance statement's part on DICOM networking: the listener, and the associations that we start ourselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydicom.uid import UID

from preprocessing.decoders import LOSSY_TRANSFER_SYNTAXES, SUPPORTED_TRANSFER_SYNTAXES, decoder_name
from service.intake import commitments
from service.intake.dimse import capabilities, commit_request, reports
from service.intake.dimse.negotiation import APPLICATION_CONTEXT, MAX_CONTEXTS, Rejection
from service.intake.dimse.pdus import MAX_VALUES
from service.intake.dimse.turns import CRUMB_BYTES, MAX_CRUMB_TURNS, TURN_VALUES
from service.intake.outcomes import IntakeReason
from service.intake.verify import LABEL_MAP_SEGMENTATION
from service.settings import Settings

_TIMES = (
    ("tls_handshake_timeout_s", "TLS handshake"),
    ("first_pdu_timeout_s", "A-ASSOCIATE-RQ after the connection"),
    ("association_idle_timeout_s", "next PDU, or next bytes of a request's body"),
    ("slow_rate_window_s", "window over which a sender's rate is taken"),
)
_LIMITS = (
    ("max_pdu_bytes", "bytes of a P-DATA PDU"),
    ("max_associate_rq_bytes", "bytes of an A-ASSOCIATE-RQ"),
    ("max_connections", "connections"),
    ("max_connections_per_address", "connections of one address"),
    ("max_associations", "associations, and bodies of requests, at once"),
    ("max_associations_per_peer", "associations, and bodies of requests, of one peer"),
    ("max_dataset_bytes", "bytes of a data set"),
    ("max_stow_bytes", "bytes of a STOW-RS request"),
    ("max_stow_parts", "parts of a STOW-RS request"),
    ("max_instances_per_study", "instances of a study"),
    ("slow_rate_bytes_per_s", "bytes a second, the slowest that a sender may be"),
)


def networking() -> str:
    """Return what is said of associations, their deadlines and their limits."""
    settings = Settings.model_construct()
    times = [(words, f"{getattr(settings, name):g} s") for name, words in _TIMES]
    limits = [(words, f"{getattr(settings, name):,}") for name, words in _LIMITS]
    return "\n\n".join(
        (
            "## Networking",
            f"""The listener takes associations at port {settings.dicom_port} under the AE title
`{settings.dicom_ae_title}` (settings `dicom_port`, `dicom_ae_title`), with the application context
`{APPLICATION_CONTEXT}`, up to {MAX_CONTEXTS} presentation contexts, one operation at a time, and no extended
negotiation. Associations are started for the outcome of a storage commitment alone. Who calls is known by AE title and
address, registered for a site, and over TLS with a client certificate by that certificate too, which must be registered
with them, itself or by its subject and issuer. A P-DATA PDU has up to {MAX_VALUES} presentation data values; an
association that sends more than {MAX_CRUMB_TURNS * TURN_VALUES:,} in a row, most of them below {CRUMB_BYTES} bytes and
not the last of their command or data set, is aborted.""",
            table(("time", "ends after"), times),
            table(("limit", "default"), limits),
            table(
                ("an association is rejected", "result", "source", "reason"),
                [(r.word.replace("_", " "), *map(str, (r.result, r.source, r.reason))) for r in Rejection],
            ),
        )
    )


def listener() -> str:
    """Return what the listener takes."""
    classes = sorted((name_of(uid), uid) for uid in capabilities.ABSTRACT_SYNTAXES)
    syntaxes = [
        (name_of(uid), uid, decoder_name(uid).split(" ")[0], "may be lossy" if uid in LOSSY_TRANSFER_SYNTAXES else "")
        for uid in SUPPORTED_TRANSFER_SYNTAXES
        if uid in capabilities.TRANSFER_SYNTAXES
    ]
    return "\n\n".join(
        (
            "## Transfer syntaxes\n\nTaken by every door, for every Storage SOP Class, and kept as they come.",
            table(("transfer syntax", "UID", "decoder", ""), syntaxes),
            "## Abstract syntaxes",
            "<details><summary>All of them</summary>\n\n" + table(("SOP Class", "UID"), classes) + "\n\n</details>",
        )
    )


def statuses() -> str:
    """Return what a sender may be answered."""
    rows = [(f"0x{r.status:04X}", str(r.status), r.word.replace("_", " "), r.comment) for r in IntakeReason if r.status]
    return "\n\n".join(
        (
            """## What a sender is told

C-STORE Status, and Failure or Warning Reason of the Store Instances Response. Success means that no loss of power takes
the instance any more: its file is on the disk, and its rows are written again if they were not. The same instance again
is a success; another content under its UID is held for an operator. Nothing that is kept is changed, except group 2 and
a zero preamble: there is no coercion.""",
            table(("status", "decimal", "why", "words"), rows),
        )
    )


def commitment() -> str:
    """Return what is said of storage commitment."""
    settings = Settings.model_construct()
    events = [
        ("Storage Commitment Request Successful", str(commitments.ALL_COMMITTED), "Referenced SOP Sequence"),
        (
            "Storage Commitment Request Complete - Failures Exist",
            str(commitments.SOME_FAILED),
            "Failed SOP Sequence, and Referenced SOP Sequence where some are kept",
        ),
    ]
    reasons = [(f"0x{reason:04X}", reason.name.lower().replace("_", " ")) for reason in commitments.Reason]
    plain = " and ".join(sorted(map(name_of, capabilities.PLAIN_SYNTAXES)))
    return "\n\n".join(
        (
            f"""## Storage commitment

{name_of(commitments.PUSH_MODEL)} (`{commitments.PUSH_MODEL}`), as SCP, in {plain},
for peers whose own address is registered. N-ACTION (type {commit_request.REQUEST_COMMITMENT}, instance
`{commitments.PUSH_MODEL_INSTANCE}`) names up to {settings.max_instances_per_study:,} instances in at most
{commit_request.MAX_REQUEST_BYTES >> 20} MiB, and is answered with success when the request is on the disk. Then every
file that it names is read again, and the outcome is told by N-EVENT-REPORT, each reference in one of two sequences.""",
            table(("event", "type", "with"), events),
            table(("Failure Reason", "means"), reasons),
            f"""The outcome is told on the requester's own association when that has been quiet for
{reports.WAITS_AFTER_S:g} s. If it is left, if {commitments.ASKER_S:g} s have gone since the files were read, or if the
report is not answered with success within {reports.ANSWER_S:g} s, we start an association to the registered address:
one presentation context, SCP/SCU Role Selection that proposes us as SCP, over TLS where the address is so registered,
{commitments.CONNECT_S:g} s to connect and {commitments.ANSWER_S:g} s to answer. Where no success is answered it is
tried again after {settings.answer_retry_s:g} s at most (`answer_retry_s`), then twice as long each time, up to
{commitments.LONGEST_WAIT_S:,.0f} s; each wait is drawn at random from nothing to that. It is given up
{commitments.GIVE_UP_AFTER_S / 3_600:g} h after the request, and an operator is told.""",
        )
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def name_of(uid: str) -> str:
    """Return a UID's name as the dictionary has it."""
    if uid == LABEL_MAP_SEGMENTATION:
        return "Label Map Segmentation Storage"
    return str(UID(uid).name)
