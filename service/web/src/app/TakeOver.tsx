/** A chief may take a study from whoever reads it, and says why. */
import { Button, Textarea } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import type { Claim } from "./claims.ts";
import { useMe } from "./me.ts";
import { showRefusal } from "./refusals.ts";

interface Props {
  id: string;
  onTaken: (claim: Claim) => void;
}

const LEAST_LETTERS = 3;

export function TakeOver({ id, onTaken }: Props) {
  const { t } = useTranslation("worklist");
  const me = useMe();
  const [reason, setReason] = useState("");
  const [isBusy, setBusy] = useState(false);
  if (!me.permissions.includes("take_claims")) return null;
  const take = async () => {
    setBusy(true);
    try {
      onTaken(await ask<Claim>(`/api/worklist/${id}/claim/take`, { method: "POST", body: { reason: reason.trim() } }));
    } catch (error) {
      showRefusal(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <details className="take">
      <summary>{t("claim.take")}</summary>
      <Textarea
        label={t("claim.why")} autosize minRows={2} maxLength={500} value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
      />
      <Button size="compact-sm" color="yellow" loading={isBusy} disabled={reason.trim().length < LEAST_LETTERS} onClick={() => void take()}>
        {t("claim.take")}
      </Button>
    </details>
  );
}
