"""`pandok releases`: which model packages serve which site, and which experimental findings its readers see."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from models.package import ModelPackage, Output
from service import audit, site_changes, site_records
from service.cli_tables import reading, when, writing
from service.settings import Settings
from service.sites import Shelf, SiteRefused, open_shelf, served_by_default


def add_commands(releases: argparse.ArgumentParser) -> None:
    """Add the actions of `pandok releases`."""
    actions = releases.add_subparsers(required=True, metavar="ACTION")
    listed = actions.add_parser("list")
    listed.add_argument("--outputs", action="store_true", help="with every experimental finding and its tests")
    listed.set_defaults(run=_list)
    add = actions.add_parser("add", help="let installed packages serve a site from now on, in their installed version")
    add.add_argument("site")
    add.add_argument("packages", nargs="*", metavar="PACKAGE", help="without any: all but those of experiments only")
    add.add_argument("--show", nargs="+", metavar="FINDING", help="experimental findings that readers are to see")
    add.set_defaults(run=_add)
    for name, words in (("show", "let readers see experimental findings"), ("hide", "keep them from readers")):
        change = actions.add_parser(name, help=f"{words}, from the next scored study on")
        change.add_argument("site")
        change.add_argument("package")
        change.add_argument("findings", nargs="+", metavar="FINDING")
        change.set_defaults(run=_show if name == "show" else _hide)
    end = actions.add_parser("end", help="let a package serve a site no longer")
    end.add_argument("site")
    end.add_argument("package")
    end.set_defaults(run=_end)


def _list(settings: Settings, options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        releases = site_records.list_releases(rx)
    shelf = open_shelf(settings) if options.outputs else Shelf((), {})
    for one in releases:
        what = f"{one.package} {one.package_version}  {one.package_sha256[:16]}"
        shows = f"  shows {', '.join(one.shows)}" if one.shows else ""
        print(f"{one.site}  {what}  since {when(one.since)}{shows}")
        for package in shelf.packages:
            if package.sha256 == one.package_sha256:
                _print_outputs(_experimental(package), one.shows)
    return 0


def _add(settings: Settings, options: argparse.Namespace) -> int:
    shelf = open_shelf(settings)
    chosen = [_installed(shelf, name) for name in options.packages] or served_by_default(shelf.packages)
    if options.show and len(options.packages) != 1:
        raise SiteRefused("--show goes with one package, the one whose findings they are")
    shows = None if options.show is None else _named(chosen[0], options.show)
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.site)
        fresh = [
            package
            for package in chosen
            if site_changes.release_package(
                tx, audit.SYSTEM, site, package, shows=shows, now=time.time(), command="releases add"
            )
        ]
    for package in fresh:
        print(f"{site.code}: released {package.name} {package.version}")
        _print_outputs(_experimental(package), shows or ())
    if not fresh:
        print(f"{site.code}: that is how it is served already")
    return 0


def _show(settings: Settings, options: argparse.Namespace) -> int:
    return _change(settings, options, is_shown=True)


def _hide(settings: Settings, options: argparse.Namespace) -> int:
    return _change(settings, options, is_shown=False)


def _change(settings: Settings, options: argparse.Namespace, *, is_shown: bool) -> int:
    package = _installed(open_shelf(settings), options.package)
    named = _named(package, options.findings)
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.site)
        serving = site_records.find_release(tx, site, package.name)
        if serving is None or serving.package_sha256 != package.sha256:
            raise SiteRefused(
                f"{package.name} {package.version} as installed does not serve {site.code}; `pandok releases add` "
                "releases it"
            )
        wanted = {*serving.shows, *named} if is_shown else {*serving.shows} - {*named}
        shows = [output.finding for output in _experimental(package) if output.finding in wanted]
        by = f"releases {'show' if is_shown else 'hide'}"
        site_changes.release_package(tx, audit.SYSTEM, site, package, shows=shows, now=time.time(), command=by)
    print(f"{site.code}: from the next scored study on, {package.name} {package.version}")
    _print_outputs(_experimental(package), shows)
    return 0


def _end(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.site)
        if not site_changes.end_release(tx, audit.SYSTEM, site, options.package, now=time.time()):
            raise SiteRefused(f"{options.package} does not serve {site.code}; `pandok releases list` shows what does")
        is_served = any(one.site == site.code for one in site_records.list_releases(tx))
    print(f"{site.code}: {options.package} serves it no longer")
    if not is_served:
        print("  no model package is released for this site: its studies will stand unscored", file=sys.stderr)
    return 0


def _installed(shelf: Shelf, name: str) -> ModelPackage:
    for package in shelf.packages:
        if package.name == name:
            return package
    why = shelf.refused.get(name)
    raise SiteRefused(f"{name}: {why}" if why else f"there is no package {name} here; `pandok check` lists them")


def _named(package: ModelPackage, findings: Sequence[str]) -> list[str]:
    """Return findings in the package's order. Raises SiteRefused for one that is not an experimental finding of it."""
    known = [output.finding for output in _experimental(package)]
    for finding in findings:
        if finding not in known:
            raise SiteRefused(
                f"{finding} is no experimental finding of {package.name}; it has {', '.join(known) or 'none'}"
            )
    return [finding for finding in known if finding in findings]


def _experimental(package: ModelPackage) -> list[Output]:
    return [output for output in package.outputs if output.experimental]


def _print_outputs(outputs: Sequence[Output], shows: Sequence[str]) -> None:
    for output in outputs:
        evidence = output.evidence
        tested = (
            f"AUROC {evidence.auroc:.3f} ({evidence.low:.3f} to {evidence.high:.3f}) on {evidence.films} films, "
            f"{evidence.positives} with it"
            if evidence
            else "not tested on films of known outcome"
        )
        print(f"  {output.finding}: {'shown' if output.finding in shows else 'kept from readers'}; {tested}")
