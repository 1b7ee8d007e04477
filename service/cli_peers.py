"""`pandok peers`: who may send DICOM, from where, with which certificate, and where it hears our answers."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from service import audit, site_changes, site_records
from service.cli_tables import reading, when, writing
from service.settings import Settings
from service.sites import NewPeer, SiteRefused, parse_address, read_certificate


def add_commands(peers: argparse.ArgumentParser) -> None:
    """Add `list`, `add`, `set` and `disable`."""
    actions = peers.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list").set_defaults(run=_list)
    add = actions.add_parser("add", help="let a DICOM peer send for a site")
    add.add_argument("site")
    add.add_argument("ae_title")
    add.add_argument("--network", default="127.0.0.1/32", help="where it calls from, such as 192.0.2.0/24")
    _options(add)
    add.set_defaults(run=_add)
    change = actions.add_parser("set", help="change a peer's certificate or its own address")
    change.add_argument("site")
    change.add_argument("ae_title")
    change.add_argument("--network", help="which entry, where the title has several")
    _options(change)
    change.set_defaults(run=_set)
    disable = actions.add_parser("disable")
    disable.add_argument("site")
    disable.add_argument("ae_title")
    disable.set_defaults(run=_disable)


def _options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--certificate", type=Path, help="PEM file: then it may send over TLS with it alone")
    command.add_argument(
        "--by-name", action="store_true", help="or with any later one of the same name by the same authority"
    )
    command.add_argument("--answer-to", metavar="HOST:PORT", help="where it hears the outcome of a storage commitment")
    command.add_argument("--answer-tls", action="store_true", help="over TLS")


def _add(settings: Settings, options: argparse.Namespace) -> int:
    new = _with_options(NewPeer(options.ae_title, options.network), options)
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.site)
        site_changes.add_peer(tx, audit.SYSTEM, site, new, now=time.time())
    print(f"{new.ae_title} may send to {options.site} from {new.network} over {_over(new)}")
    return 0


def _set(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.site)
        known = [
            peer
            for peer in site_records.list_peers(tx)
            if (peer.site, peer.entry.ae_title) == (site.code, options.ae_title)
            and peer.disabled_at is None
            and options.network in (None, peer.entry.network)
        ]
        if len(known) != 1:
            raise SiteRefused(f"{options.site} has {len(known)} such peers; name one as `pandok peers list` shows it")
        entry = _with_options(known[0].entry, options)
        site_changes.change_peer(tx, audit.SYSTEM, site, known[0], entry, now=time.time())
    print(f"{entry.ae_title} may send to {options.site} from {entry.network} over {_over(entry)}")
    return 0


def _with_options(peer: NewPeer, options: argparse.Namespace) -> NewPeer:
    """Return the entry with what the options say; what they do not mention stays."""
    if options.by_name and not options.certificate:
        raise SiteRefused("--by-name says how --certificate counts; give both")
    if options.answer_tls and not options.answer_to:
        raise SiteRefused("--answer-tls says how --answer-to is reached; give both")
    if options.certificate:
        shown = read_certificate(options.certificate)
        peer = replace(
            peer,
            certificate_sha256=None if options.by_name else shown.sha256,
            certificate_subject=shown.subject if options.by_name else None,
            certificate_issuer=shown.issuer if options.by_name else None,
        )
    if options.answer_to:
        host, port = parse_address(options.answer_to)
        peer = replace(peer, answer_host=host, answer_port=port, answer_tls=options.answer_tls)
    return peer


def _over(peer: NewPeer) -> str:
    if peer.certificate_sha256:
        return "TLS with its certificate"
    if peer.certificate_subject:
        return f"TLS with a certificate of {peer.certificate_subject}"
    return "connections that ask for no certificate"


def _list(settings: Settings, _options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        for peer in site_records.list_peers(rx):
            entry = peer.entry
            state = f"disabled {when(peer.disabled_at)}" if peer.disabled_at else "enabled"
            line = (peer.site, entry.ae_title, entry.network, _certificate(entry), _answers(entry), state)
            print("  ".join(line))
    return 0


def _certificate(peer: NewPeer) -> str:
    if peer.certificate_sha256:
        return f"certificate {peer.certificate_sha256[:16]}"
    if peer.certificate_subject:
        return f"certificate of {peer.certificate_subject} by {peer.certificate_issuer}"
    return "no certificate"


def _answers(peer: NewPeer) -> str:
    if peer.answer_host is None:
        return "no storage commitment"
    return f"answers to {peer.answer_host}:{peer.answer_port}{' over TLS' if peer.answer_tls else ''}"


def _disable(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.site)
        site_changes.disable_peer(tx, audit.SYSTEM, site, options.ae_title, now=time.time())
    print(f"{options.ae_title} may no longer send to {options.site}")
    return 0
