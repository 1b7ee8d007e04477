/** What can still be done to a signed report: add to it, amend it, take it back. What was signed stays as it was. */
import { Button, Textarea } from "@mantine/core";
import { lazy, Suspense, useCallback, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { useConfirmed } from "../app/Confirm.tsx";
import { queries } from "../app/queries.ts";
import { Unsaved } from "../app/Unsaved.tsx";
import type { Content } from "../reader/report.ts";
import type { Report } from "../shapes.ts";

const Amendment = lazy(() => import("./Amendment.tsx"));

interface Props {
  report: Report;
  /** Hears of the new version. */
  onSigned: () => void;
  /** Hears whether something is written that nobody signed. */
  onUnsaved: (isUnsaved: boolean) => void;
}

type Kind = "addendum" | "amend" | "retract";

export function Corrections({ report, onSigned, onUnsaved }: Props) {
  const { t } = useTranslation("center");
  const { run, dialog } = useConfirmed({ isSignature: true });
  const { isUnsaved, note, forget } = useUnsigned();
  useEffect(() => {
    onUnsaved(isUnsaved);
    return () => onUnsaved(false);
  }, [isUnsaved, onUnsaved]);
  const signed = async () => {
    forget();
    await queries.invalidateQueries({ queryKey: ["report", report.public_id] });
    onSigned();
  };
  const send = (path: string, body: unknown) =>
    run(async () => {
      await ask(`/api/reports/${report.public_id}/${path}`, { method: "POST", body });
      await signed();
    });
  return (
    <section className="corrections">
      <Correction
        title={t("addendum.title")} label={t("addendum.text")} go={t("addendum.go")} onUnsaved={note.addendum}
        act={(text) => send("addendum", { text })}
      />
      <Amended report={report} onSigned={signed} onUnsaved={note.amend} />
      <Correction
        title={t("retract.title")} label={t("retract.why")} go={t("retract.go")} onUnsaved={note.retract}
        act={(reason) => send("retract", { reason })}
      />
      {dialog}
      <Unsaved isUnsaved={isUnsaved} />
    </section>
  );
}

/** Which of the three holds something that nobody signed. */
function useUnsigned() {
  const [kinds, setKinds] = useState<readonly Kind[]>([]);
  const noted = (kind: Kind) => (isUnsaved: boolean) =>
    setKinds((before) => [...before.filter((one) => one !== kind), ...(isUnsaved ? [kind] : [])]);
  const [note] = useState(() => ({ addendum: noted("addendum"), amend: noted("amend"), retract: noted("retract") }));
  return { isUnsaved: kinds.length > 0, note, forget: useCallback(() => setKinds([]), []) };
}

/** The editor is large: it comes when it is opened first. */
function Amended({ report, onSigned, onUnsaved }: Omit<Props, "onSigned"> & { onSigned: () => Promise<void> }) {
  const { t } = useTranslation("center");
  const [wasOpened, setOpened] = useState(false);
  if (!report.content) return null;
  const content = report.content as Content;
  return (
    <details onToggle={() => setOpened(true)}>
      <summary>{t("amend.title")}</summary>
      {wasOpened && (
        <Suspense fallback={<p className="quiet">{t("common:loading")}</p>}>
          <Amendment key={report.number} {...{ report, content, onSigned, onUnsaved }} />
        </Suspense>
      )}
    </details>
  );
}

interface CorrectionProps {
  title: string;
  label: string;
  go: string;
  act: (text: string) => Promise<void>;
  onUnsaved: (isUnsaved: boolean) => void;
}

function Correction({ title, label, go, act, onUnsaved }: CorrectionProps) {
  const [text, setText] = useState("");
  const isEmpty = text.trim() === "";
  useEffect(() => onUnsaved(!isEmpty), [isEmpty, onUnsaved]);
  return (
    <details>
      <summary>{title}</summary>
      <Textarea label={label} autosize minRows={2} maxLength={1000} value={text} onChange={(event) => setText(event.currentTarget.value)} />
      <Button size="xs" variant="default" disabled={isEmpty} onClick={() => void act(text.trim())}>
        {go}
      </Button>
    </details>
  );
}
