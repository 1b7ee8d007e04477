/** Says what a signed report shall say instead, and why: the reading room's own editor, over what stands now. */
import { Button, Textarea } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useReducer, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask, Refused } from "../api.ts";
import { useConfirmed } from "../app/Confirm.tsx";
import { useKeys } from "../app/keys.ts";
import { currentLanguage } from "../app/language.ts";
import { refusalWords } from "../app/refusals.ts";
import { asks } from "../reader/asks.ts";
import { useCatalogue } from "../reader/catalogue.ts";
import { KEYS, settingOf } from "../reader/keys.ts";
import { PreviewDialog } from "../reader/Preview.tsx";
import { ReportPane } from "../reader/ReportPane.tsx";
import { type Content, isUnsaved, NO_REPORT, reportStep } from "../reader/report.ts";
import { SignSheet } from "../reader/Signing.tsx";
import type { Report } from "../shapes.ts";

interface Props {
  report: Report;
  content: Content;
  onSigned: () => Promise<void>;
  /** Something is written that nobody signed. */
  onUnsaved: (isUnsaved: boolean) => void;
}

type Sheet = "preview" | "sign" | null;

export default function Amendment({ report, content: before, onSigned, onUnsaved }: Props) {
  const { t } = useTranslation("center");
  const catalogue = useCatalogue();
  const [state, edit] = useReducer(reportStep, before, (stands) =>
    reportStep(NO_REPORT, { kind: "opened", draft: stands, suggestion: stands }),
  );
  const [reason, setReason] = useState("");
  const [sheet, setSheet] = useState<Sheet>(null);
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const textField = useRef<HTMLTextAreaElement>(null);
  const { run, dialog } = useConfirmed({ isSignature: true });
  const { data: seen } = useQuery({
    queryKey: ["amended-case", report.study],
    queryFn: () => asks.case(report.study),
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
  });
  const hasWork = reason.trim() !== "" || isUnsaved(state);
  useEffect(() => onUnsaved(hasWork), [hasWork, onUnsaved]);
  usePreviewKey(sheet === null, () => setSheet("preview"));
  if (!catalogue || !seen) return <p className="quiet">{t("common:loading")}</p>;
  const { content } = state;

  const amend = async () => {
    setBusy(true);
    try {
      await ask(`/api/reports/${report.public_id}/amend`, { method: "POST", body: { content, reason: reason.trim() } });
    } catch (refused) {
      if (refused instanceof Refused && refused.code === "confirm_first") {
        setSheet(null); // the dialog's Enter is its own
        throw refused;
      }
      setSheet("sign");
      setError(refusalWords(refused));
      return;
    } finally {
      setBusy(false);
    }
    await onSigned();
  };
  return (
    <div className="amendment">
      <ReportPane
        id={report.study} state={state} catalogue={catalogue} priors={seen.priors} edit={edit} isAmendment
        onPreview={() => setSheet("preview")} textField={textField}
      />
      <Textarea
        label={t("amend.why")} autosize minRows={2} maxLength={1000} value={reason}
        onChange={(event) => setReason(event.currentTarget.value)}
      />
      <Button
        size="xs" disabled={reason.trim() === "" || !isUnsaved(state)}
        onClick={() => {
          setError(undefined);
          setSheet("sign");
        }}
      >
        {t("amend.go")}
      </Button>
      <PreviewDialog
        id={report.study} content={content} isOpen={sheet === "preview"} first={currentLanguage()} onClose={() => setSheet(null)}
      />
      {sheet === "sign" && content && (
        <SignSheet
          id={report.study} content={content} language={currentLanguage()} status="amended" left={0}
          isSettled isBusy={isBusy}
          error={error} refusedFor={[]} onSign={() => void run(amend)} onClose={() => setSheet(null)}
        />
      )}
      {dialog}
    </div>
  );
}

function usePreviewKey(enabled: boolean, show: () => void) {
  const { t } = useTranslation("reader");
  const keys = KEYS.find(({ command }) => command === "preview")?.keys ?? [];
  useKeys([{ id: settingOf("preview"), keys, label: t("commands.preview"), group: t("groups.report"), run: show }], { enabled });
}
