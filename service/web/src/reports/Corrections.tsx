/** What can still be done to a signed report: add to it, or take it back. What was signed stays as it was. */
import { Button, Textarea } from "@mantine/core";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { useConfirmed } from "../app/Confirm.tsx";
import { queries } from "../app/queries.ts";
import type { Report } from "../shapes.ts";

export function Corrections({ report }: { report: Report }) {
  const { t } = useTranslation("center");
  const { run, dialog } = useConfirmed();
  if (report.status === "preliminary" || report.status === "cancelled") return null;
  const send = (path: string, body: unknown) =>
    run(async () => {
      await ask(`/api/reports/${report.public_id}/${path}`, { method: "POST", body });
      await queries.invalidateQueries({ queryKey: ["report", report.public_id] });
    });
  return (
    <section className="corrections">
      <Correction title={t("addendum.title")} label={t("addendum.text")} go={t("addendum.go")} act={(text) => send("addendum", { text })} />
      <Correction title={t("retract.title")} label={t("retract.why")} go={t("retract.go")} act={(reason) => send("retract", { reason })} />
      {dialog}
    </section>
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
