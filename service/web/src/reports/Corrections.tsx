/** What can still be done to a signed report: add to it, amend it, take it back. What was signed stays as it was. */
import { Button, Textarea } from "@mantine/core";
import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { useConfirmed } from "../app/Confirm.tsx";
import { queries } from "../app/queries.ts";
import type { Content } from "../reader/report.ts";
import type { Report } from "../shapes.ts";

const Amendment = lazy(() => import("./Amendment.tsx"));

/** `onSigned` hears of the new version. */
export function Corrections({ report, onSigned }: { report: Report; onSigned: () => void }) {
  const { t } = useTranslation("center");
  const { run, dialog } = useConfirmed();
  const signed = async () => {
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
      <Correction title={t("addendum.title")} label={t("addendum.text")} go={t("addendum.go")} act={(text) => send("addendum", { text })} />
      <Amended report={report} onSigned={signed} />
      <Correction title={t("retract.title")} label={t("retract.why")} go={t("retract.go")} act={(reason) => send("retract", { reason })} />
      {dialog}
    </section>
  );
}

/** The editor is large: it comes when it is opened, and what was typed in it goes when it is closed. */
function Amended({ report, onSigned }: { report: Report; onSigned: () => Promise<void> }) {
  const { t } = useTranslation("center");
  const [isOpen, setOpen] = useState(false);
  if (!report.content) return null;
  const content = report.content as Content;
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t("amend.title")}</summary>
      {isOpen && (
        <Suspense fallback={<p className="quiet">{t("common:loading")}</p>}>
          <Amendment key={report.number} report={report} content={content} onSigned={onSigned} />
        </Suspense>
      )}
    </details>
  );
}

interface Props {
  title: string;
  label: string;
  go: string;
  act: (text: string) => Promise<void>;
}

function Correction({ title, label, go, act }: Props) {
  const [text, setText] = useState("");
  return (
    <details>
      <summary>{title}</summary>
      <Textarea label={label} autosize minRows={2} maxLength={1000} value={text} onChange={(event) => setText(event.currentTarget.value)} />
      <Button size="xs" variant="default" disabled={text.trim() === ""} onClick={() => void act(text.trim()).then(() => setText(""))}>
        {go}
      </Button>
    </details>
  );
}
