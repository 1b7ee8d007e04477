"""Other people's senders, unchanged, against the listener: DCMTK, pynetdicom, plain and over TLS."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)
from pynetdicom import AE
from pynetdicom.sop_class import ComputedRadiographyImageStorage, CTImageStorage, Verification

from service.intake.outcomes import IntakeReason
from tests.factories import make_ct_slice, make_radiograph, part10, phantom
from tests.service.intake.dimse.authority import Authority, Certificate
from tests.service.intake.dimse.conftest import Listening, OpenListener

Dcmtk = Callable[[str], str]

ENVIRONMENT = {"TCP_NODELAY": "1"}


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
    )


def files_of(folder: Path, datasets: Iterable[Dataset]) -> list[Path]:
    paths = []
    for number, dataset in enumerate(datasets):
        path = folder / f"{number}.dcm"
        path.write_bytes(part10(dataset))
        paths.append(path)
    return paths


# DCMTK


@pytest.mark.peers
def test_echoscu_is_answered(listening: Listening, dcmtk: Dcmtk) -> None:
    answer = run(dcmtk("echoscu"), "-aet", "TESTER", "-aec", "PANDOK", "127.0.0.1", str(listening.port))

    assert answer.returncode == 0, answer.stderr


@pytest.mark.peers
def test_echoscu_as_a_stranger_is_turned_away(listening: Listening, dcmtk: Dcmtk) -> None:
    answer = run(dcmtk("echoscu"), "-v", "-aet", "NOBODY", "-aec", "PANDOK", "127.0.0.1", str(listening.port))

    assert answer.returncode != 0
    assert "Calling AE Title Not Recognized" in answer.stdout + answer.stderr


@pytest.mark.peers
@pytest.mark.parametrize("max_pdu", [4_096, 131_072])
def test_storescu_sends_a_folder(listening: Listening, dcmtk: Dcmtk, tmp_path: Path, max_pdu: int) -> None:
    sent = [*(make_ct_slice(rows=256, seed=seed) for seed in range(5)), make_radiograph(phantom(700, 700))]
    files = files_of(tmp_path, sent)

    answer = run(
        dcmtk("storescu"), "-aet", "TESTER", "-aec", "PANDOK", "--max-pdu", str(max_pdu), "--max-send-pdu",
        str(max_pdu), "127.0.0.1", str(listening.port), *files,
    )  # fmt: skip

    assert answer.returncode == 0, answer.stderr
    assert listening.stored_uids() == {dataset.SOPInstanceUID for dataset in sent}


@pytest.mark.peers
def test_storescu_hears_why_an_instance_is_held(listening: Listening, dcmtk: Dcmtk, tmp_path: Path) -> None:
    first = make_radiograph()
    files = files_of(tmp_path, [first, make_radiograph(seed=1, SOPInstanceUID=first.SOPInstanceUID)])

    answer = run(dcmtk("storescu"), "-d", "-aet", "TESTER", "-aec", "PANDOK", "127.0.0.1", str(listening.port), *files)

    assert "0x0111" in answer.stdout + answer.stderr
    assert IntakeReason.CONFLICT.comment in answer.stdout + answer.stderr


@pytest.mark.peers
@pytest.mark.parametrize(
    ("conversion", "option", "syntax"),
    [
        ("+ti", "-xi", ImplicitVRLittleEndian),
        ("+tb", "-xb", ExplicitVRBigEndian),
        ("+td", "-xd", DeflatedExplicitVRLittleEndian),
    ],
)
def test_storescu_sends_every_uncompressed_syntax_as_it_is(
    listening: Listening, dcmtk: Dcmtk, tmp_path: Path, conversion: str, option: str, syntax: str
) -> None:
    dataset = make_radiograph()
    [file] = files_of(tmp_path, [dataset])
    converted = tmp_path / "converted.dcm"
    assert run(dcmtk("dcmconv"), conversion, file, converted).returncode == 0

    answer = run(
        dcmtk("storescu"), option, "-aet", "TESTER", "-aec", "PANDOK", "127.0.0.1", str(listening.port), converted
    )

    assert answer.returncode == 0, answer.stderr
    [path] = listening.parts.settings.archive_folder.rglob("*.dcm")
    stored = dcmread(path)
    assert stored.file_meta.TransferSyntaxUID == syntax
    assert stored.PatientName == dataset.PatientName


def compressed(syntax: str) -> Dataset:
    dataset = make_radiograph(phantom(64, 64))
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    else:  # the listener reads no pixels: what stands for them need not be an image
        dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9" * 9])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


@pytest.mark.peers
@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEG2000Lossless, RLELossless])
def test_dcmsend_sends_compressed_images_as_they_are(
    listening: Listening, dcmtk: Dcmtk, tmp_path: Path, syntax: str
) -> None:
    [file] = files_of(tmp_path, [compressed(syntax)])

    answer = run(dcmtk("dcmsend"), "-dn", "-aet", "TESTER", "-aec", "PANDOK", "127.0.0.1", str(listening.port), file)

    assert answer.returncode == 0, answer.stdout + answer.stderr
    [path] = listening.parts.settings.archive_folder.rglob("*.dcm")
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax


@pytest.mark.peers
def test_dcmsend_sends_two_modalities_in_one_association(listening: Listening, dcmtk: Dcmtk, tmp_path: Path) -> None:
    sent = [make_radiograph(), *(make_ct_slice(seed=seed) for seed in range(3))]
    files_of(tmp_path, sent)

    answer = run(
        dcmtk("dcmsend"), "-v", "-aet", "TESTER", "-aec", "PANDOK", "+sd", "127.0.0.1", str(listening.port), tmp_path
    )

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert listening.stored_uids() == {dataset.SOPInstanceUID for dataset in sent}


# TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client(authority: Authority) -> Certificate:
    return authority.issue("client")


@pytest.fixture
def secured(open_listener: OpenListener, authority: Authority, client: Certificate) -> Listening:
    server = authority.issue("server")
    listening = open_listener(
        dicom_tls_port=0,
        dicom_tls_certificate=server.path,
        dicom_tls_key=server.key,
        dicom_tls_client_ca=authority.path,
    )
    listening.change_peer("TESTER", certificate_sha256=client.sha256)
    return listening


@pytest.mark.peers
@pytest.mark.parametrize("profile", ["+py", "+pz"])
def test_dcmtk_sends_over_tls_with_its_certificate(
    secured: Listening, dcmtk: Dcmtk, tmp_path: Path, authority: Authority, client: Certificate, profile: str
) -> None:
    dataset = make_radiograph(phantom(500, 500))
    [file] = files_of(tmp_path, [dataset])
    tls = ("+tls", client.key, client.path, "+cf", authority.path, profile)
    names = ("-aet", "TESTER", "-aec", "PANDOK", "127.0.0.1", str(secured.tls_port))

    echo = run(dcmtk("echoscu"), *tls, *names)
    store = run(dcmtk("storescu"), *tls, *names, file)

    assert (echo.returncode, store.returncode) == (0, 0), echo.stderr + store.stderr
    assert secured.stored_uids() == {dataset.SOPInstanceUID}


@pytest.mark.peers
def test_dcmtk_without_a_certificate_gets_nowhere_over_tls(
    secured: Listening, dcmtk: Dcmtk, authority: Authority
) -> None:
    names = ("-aet", "TESTER", "-aec", "PANDOK", "127.0.0.1", str(secured.tls_port))

    answer = run(dcmtk("echoscu"), "+tla", "+cf", authority.path, *names)

    assert answer.returncode != 0


# pynetdicom


def associate(port: int, *classes: str, tls: tuple[ssl.SSLContext, str] | None = None, max_pdu: int = 16_382) -> object:
    ae = AE("TESTER")
    for sop_class in classes:
        ae.add_requested_context(sop_class)
    association = ae.associate("127.0.0.1", port, ae_title="PANDOK", tls_args=tls, max_pdu=max_pdu)
    assert association.is_established
    return association


@pytest.mark.parametrize("max_pdu", [0, 1_024, 16_382])
def test_pynetdicom_echoes_and_stores(listening: Listening, max_pdu: int) -> None:
    sent = [make_radiograph(), make_ct_slice(), make_ct_slice(seed=1)]

    association = associate(
        listening.port, Verification, ComputedRadiographyImageStorage, CTImageStorage, max_pdu=max_pdu
    )
    statuses = [association.send_c_echo().Status, *(association.send_c_store(each).Status for each in sent)]
    association.release()

    assert statuses == [0x0000] * 4
    assert association.is_released
    assert listening.stored_uids() == {dataset.SOPInstanceUID for dataset in sent}


def test_pynetdicom_stores_over_tls_with_its_certificate(
    secured: Listening, authority: Authority, client: Certificate
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.path)
    context.load_cert_chain(client.path, client.key)
    dataset = make_radiograph(phantom(500, 500))

    association = associate(secured.tls_port, ComputedRadiographyImageStorage, tls=(context, "127.0.0.1"))
    status = association.send_c_store(dataset).Status
    association.release()

    assert status == 0x0000
    assert secured.stored_uids() == {dataset.SOPInstanceUID}


def test_pynetdicom_that_aborts_keeps_what_it_sent(listening: Listening) -> None:
    dataset = make_radiograph()

    association = associate(listening.port, ComputedRadiographyImageStorage)
    assert association.send_c_store(dataset).Status == 0x0000
    association.abort()

    assert listening.stored_uids() == {dataset.SOPInstanceUID}


def test_pynetdicom_reads_why_an_image_without_a_study_is_held_aside(listening: Listening) -> None:
    dataset = make_radiograph()
    del dataset.StudyInstanceUID

    association = associate(listening.port, ComputedRadiographyImageStorage)
    answer = association.send_c_store(dataset)
    association.release()

    assert (answer.Status, answer.ErrorComment) == (IntakeReason.NO_STUDY.status, IntakeReason.NO_STUDY.comment)


def test_pynetdicom_is_told_which_contexts_are_not_taken(listening: Listening) -> None:
    ae = AE("TESTER")
    ae.add_requested_context(Verification)
    ae.add_requested_context("1.2.840.10008.5.1.4.1.2.2.1")
    association = ae.associate("127.0.0.1", listening.port, ae_title="PANDOK")

    [rejected] = association.rejected_contexts
    association.release()

    assert (rejected.abstract_syntax, rejected.result) == ("1.2.840.10008.5.1.4.1.2.2.1", 3)
