"""`pandok uploads`: what is on its way in pieces, and how to make room by taking one away."""

from __future__ import annotations

import argparse
import sys
import time

from service import site_records
from service.cli_tables import opened, when
from service.intake import resumable_records as records
from service.intake.part_files import remove_part_file
from service.part import EXIT_REFUSED
from service.settings import Settings


def add_commands(uploads: argparse.ArgumentParser) -> None:
    """Add what `pandok uploads` takes."""
    actions = uploads.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="who sends what, how much has come, how long it is kept")
    listing.add_argument("--site")
    listing.set_defaults(run=_list)
    removing = actions.add_parser("remove", help="forget one; its sender begins again, and its site is told")
    removing.add_argument("public_id")
    removing.set_defaults(run=_remove)


def _list(settings: Settings, options: argparse.Namespace) -> int:
    with opened(settings) as database, database.reading() as rx:
        codes = {site.id: site.code for site in site_records.list_sites(rx)}
        site_id = site_records.get_site(rx, options.site).id if options.site else None
        rows = records.list_open(rx, site_id)
    for row in rows:
        share = f"{row.offset_bytes:,} of {row.size_bytes:,} bytes"
        print(f"{row.public_id}  {codes[row.site_id]}  {row.sender}  {share}  until {when(row.expires_at)}")
    return 0


def _remove(settings: Settings, options: argparse.Namespace) -> int:
    with opened(settings) as database:
        try:
            is_there = remove_part_file(settings.spool_folder, database, options.public_id, now=time.time())
        except BlockingIOError:
            print("its sender is at it just now; try again in a few seconds", file=sys.stderr)
            return EXIT_REFUSED
    if not is_there:
        print("there is no such upload", file=sys.stderr)
        return EXIT_REFUSED
    print(f"{options.public_id}: removed")
    return 0
