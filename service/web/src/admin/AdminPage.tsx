/** Running the service: who may come in, what went wrong on arrival, who did what. */
import { Tabs } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { useMe } from "../app/me.ts";
import { Accounts } from "./Accounts.tsx";
import { Audit } from "./Audit.tsx";
import { Problems } from "./Problems.tsx";
import { Rules } from "./Rules.tsx";
import "./admin.css";

const PARTS = [
  { id: "accounts", permission: "manage_accounts", Part: Accounts },
  { id: "problems", permission: "see_problems", Part: Problems },
  { id: "rules", permission: "manage_rules", Part: Rules },
  { id: "audit", permission: "read_audit", Part: Audit },
] as const;

export default function AdminPage() {
  const { t } = useTranslation("admin");
  const { permissions: may, site } = useMe();
  // The rules hold for every site: an administrator of one site does not see them.
  const parts = PARTS.filter((part) => may.includes(part.permission) && !(part.id === "rules" && site));
  const [shown, setShown] = useState<string | null>(parts[0]?.id ?? null);
  return (
    <Tabs value={shown} onChange={setShown} className="admin" keepMounted={false}>
      <Tabs.List aria-label={t("title")}>
        {parts.map(({ id }) => (
          <Tabs.Tab key={id} value={id}>
            {t(`tab.${id}`)}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {parts.map(({ id, Part }) => (
        <Tabs.Panel key={id} value={id}>
          <Part />
        </Tabs.Panel>
      ))}
    </Tabs>
  );
}
