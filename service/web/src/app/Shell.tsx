/** The frame of every page: where one can go, who one is. */
import { Menu, UnstyledButton } from "@mantine/core";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { ask, listeners } from "../api.ts";
import { KeysHelp } from "./KeysHelp.tsx";
import { forgetMe, useMe } from "./me.ts";
import "./shell.css";

export function Root() {
  const navigate = useNavigate();
  useEffect(() => {
    listeners.signedOut = () => {
      if (location.pathname === "/sign-in") return;
      forgetMe();
      void navigate({ to: "/sign-in", search: { next: location.pathname + location.search } });
    };
    listeners.passwordWanted = () => {
      forgetMe();
      void navigate({ to: "/welcome" });
    };
  }, [navigate]);
  return <Outlet />;
}

const PLACES = [
  { to: "/worklist", word: "nav.worklist", any: ["see_worklist"] },
  { to: "/center", word: "nav.center", any: ["see_own_studies"] },
  { to: "/upload", word: "nav.upload", any: ["send_studies"] },
  { to: "/admin", word: "nav.admin", any: ["manage_accounts", "read_audit"] },
] as const;

export function Shell() {
  const { t } = useTranslation();
  const me = useMe();
  const places = me.must.length > 0 ? [] : PLACES.filter((place) => place.any.some((one) => me.permissions.includes(one)));
  return (
    <div className="shell">
      <a className="skip" href="#main">
        {t("nav.skip")}
      </a>
      <header className="shell-top">
        <Link to="/" className="shell-brand" aria-label="Pandok">
          <img src="/assets/pandok.svg" alt="" width={22} height={22} />
          <span lang="en">Pandok</span>
        </Link>
        <nav className="shell-places" aria-label={t("nav.label")}>
          {places.map(({ to, word }) => (
            <Link key={to} to={to} activeProps={{ "aria-current": "page" }}>
              {t(word)}
            </Link>
          ))}
          {me.must.length === 0 && onlySeesProblems(me.permissions) && (
            <Link to="/admin" activeProps={{ "aria-current": "page" }}>
              {t("nav.problems")}
            </Link>
          )}
        </nav>
        <div id="shell-aside" className="shell-aside" />
        <Person />
      </header>
      <main id="main" className="shell-main">
        <Outlet />
      </main>
      <KeysHelp />
    </div>
  );
}

/** A center's people do not run the service, and still should see what of theirs was refused. */
function onlySeesProblems(may: readonly string[]): boolean {
  return may.includes("see_problems") && !may.includes("manage_accounts") && !may.includes("read_audit");
}

function Person() {
  const { t } = useTranslation();
  const me = useMe();
  const navigate = useNavigate();
  const leave = async () => {
    await ask("/api/sign-out", { method: "POST" });
    forgetMe();
    await navigate({ to: "/sign-in" });
  };
  return (
    <Menu position="bottom-end" width={230}>
      <Menu.Target>
        <UnstyledButton className="shell-person">
          <b>{me.name}</b>
          {me.site && <span className="quiet">{me.site.name}</span>}
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t(`role.${me.role}` as "role.radiologist")}</Menu.Label>
        <Menu.Item component={Link} to="/settings">
          {t("nav.settings")}
        </Menu.Item>
        <Menu.Item onClick={() => void leave()}>{t("nav.sign_out")}</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
