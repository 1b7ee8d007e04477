/** Accounts: add a person, give a link, disable. */
import { Button, Code, CopyButton, Modal } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { moment } from "../app/format.ts";
import { useMe } from "../app/me.ts";
import { queries } from "../app/queries.ts";
import { showRefusal } from "../app/refusals.ts";
import type { Account } from "../shapes.ts";
import { NewAccount } from "./NewAccount.tsx";

interface Given {
  link: string;
  login: string;
}

export function Accounts() {
  const { t } = useTranslation("admin");
  const me = useMe();
  const [given, setGiven] = useState<Given | null>(null);
  const [adding, setAdding] = useState(false);
  const { data } = useQuery({ queryKey: ["accounts"], queryFn: () => ask<{ accounts: Account[] }>("/api/accounts") });
  const again = () => queries.invalidateQueries({ queryKey: ["accounts"] });
  const attempt = async (act: () => Promise<void>) => {
    try {
      await act();
      await again();
    } catch (error) {
      showRefusal(error);
    }
  };
  const link = (one: Account) =>
    attempt(async () => {
      const { link: address } = await ask<{ link: string }>(`/api/accounts/${one.public_id}/link`, { method: "POST" });
      setGiven({ link: address, login: one.login });
    });
  const able = (one: Account, disabled: boolean) =>
    attempt(() => ask<void>(`/api/accounts/${one.public_id}`, { method: "PATCH", body: { disabled } }));
  return (
    <section>
      <div className="admin-bar">
        <Button size="xs" onClick={() => setAdding(true)}>
          {t("account.add")}
        </Button>
      </div>
      <table className="studies">
        <thead>
          <tr>
            <th scope="col">{t("account.person")}</th>
            <th scope="col">{t("account.role")}</th>
            <th scope="col">{t("worklist:by.site")}</th>
            <th scope="col">{t("account.way_in")}</th>
            <th scope="col">{t("account.last_seen")}</th>
            <th scope="col">{t("account.actions")}</th>
          </tr>
        </thead>
        <tbody>
          {(data?.accounts ?? []).map((one) => (
            <tr key={one.public_id} className={one.disabled_at === null ? "" : "disabled"}>
              <td>
                <b>{one.name}</b>
                <small>{one.login}</small>
              </td>
              <td>
                {t(`common:role.${one.role}` as "common:role.radiologist")}
                {one.reading_policy && <small>{one.reading_policy}</small>}
              </td>
              <td>{one.site ?? "–"}</td>
              <td>
                {[one.has_password && t("access:password"), one.has_totp && t("account.totp"), one.has_oidc && "OIDC"].filter(Boolean).join(" · ") ||
                  t("account.no_password")}
              </td>
              <td className="numbers quiet">{moment(one.last_seen_at, me.time_zone) || "–"}</td>
              <td>
                <div className="admin-actions">
                <Button size="compact-xs" variant="default" onClick={() => void link(one)} disabled={one.disabled_at !== null}>
                  {t("account.link")}
                </Button>
                <Button size="compact-xs" variant="subtle" color="gray" onClick={() => void able(one, one.disabled_at === null)}>
                  {t(one.disabled_at === null ? "account.disable" : "account.enable")}
                </Button>
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {adding && (
        <NewAccount
          close={() => setAdding(false)}
          added={(now) => {
            setAdding(false);
            setGiven(now);
            void again();
          }}
        />
      )}
      <Modal opened={given !== null} onClose={() => setGiven(null)} title={t("account.link_of", { login: given?.login ?? "" })} size="lg">
        <p className="quiet">{t("account.link_how")}</p>
        <Code block>{given?.link}</Code>
        <CopyButton value={given?.link ?? ""}>
          {({ copied, copy }) => (
            <Button mt="sm" size="xs" variant="default" onClick={copy}>
              {t(copied ? "account.copied" : "account.copy")}
            </Button>
          )}
        </CopyButton>
      </Modal>
    </section>
  );
}
