/** The routing rules: read and change them as one file, look at earlier ones, try them on images. */
import { Button, Textarea, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { moment } from "../app/format.ts";
import { wordsFor } from "../app/language.ts";
import { useMe } from "../app/me.ts";
import { queries } from "../app/queries.ts";
import { showRefusal } from "../app/refusals.ts";
import type { Checked, Fault, RuleBook } from "../shapes.ts";
import { RuleKeys, useExample } from "./RuleKeys.tsx";
import { RuleTester } from "./RuleTester.tsx";
import "./rules.css";

const CHECK_AFTER_MS = 400;
export function Rules() {
  const { t } = useTranslation("admin");
  const { data } = useQuery({ queryKey: ["rules"], queryFn: () => ask<RuleBook>("/api/rules") });
  const [typed, setTyped] = useState<string | null>(null);
  const [note, setNote] = useState("");
  if (!data) return null;
  const text = typed ?? data.text;
  const open = async (number: number) => {
    try {
      setTyped((await ask<RuleBook>(`/api/rules/${number}`)).text);
      setNote(number === data.number ? "" : t("rules.back_to", { n: number }));
      document.getElementById("rules-text")?.focus();
    } catch (error) {
      showRefusal(error);
    }
  };
  return (
    <section className="rules">
      <p className="quiet">{t("rules.how")}</p>
      <div className="rules-parts">
        <Editor now={data} text={text} setText={setTyped} note={note} setNote={setNote} />
        <RuleTester text={text} isChanged={text !== data.text} />
      </div>
      <History now={data} open={(number) => void open(number)} />
    </section>
  );
}

interface Editing {
  now: RuleBook;
  text: string;
  setText: (text: string | null) => void;
  note: string;
  setNote: (note: string) => void;
}

function Editor({ now, text, setText, note, setNote }: Editing) {
  const { t } = useTranslation("admin");
  const field = useRef<HTMLTextAreaElement>(null);
  const example = useExample();
  const checked = useCheck(text);
  const isChanged = text !== now.text;
  const save = async () => {
    try {
      const set = await ask<RuleBook>("/api/rules", { method: "PUT", body: { text, base: now.number, note: note.trim() } });
      notifications.show({ message: t("rules.saved", { n: set.number }), closeButtonProps: { "aria-label": t("common:close") } });
      setText(null);
      setNote("");
      await queries.invalidateQueries({ queryKey: ["rules"] });
    } catch (error) {
      showRefusal(error);
    }
  };
  return (
    <section className="rules-editor" aria-label={t("tab.rules")}>
      <Textarea
        ref={field} id="rules-text" label={t("rules.file", { n: now.number })} autosize minRows={14} maxRows={30} spellCheck={false}
        classNames={{ input: "rules-text" }} placeholder={example} value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <div role="status">
        {checked && checked.faults.length === 0 && <p className="rules-good">{t("rules.valid", { n: checked.rules })}</p>}
        {checked && checked.faults.length > 0 && (
          <ul className="rules-faults">
            {checked.faults.map((fault, place) => (
              <li key={place}>
                {fault.line !== null && (
                  <button type="button" className="rules-line" onClick={() => select(field.current, fault.line ?? 1)}>
                    {t("rules.line", { n: fault.line })}
                  </button>
                )}
                {faultWords(fault)}
              </li>
            ))}
          </ul>
        )}
      </div>
      <div className="admin-bar">
        <TextInput size="xs" className="rules-note" aria-label={t("rules.note")} placeholder={t("rules.note")} maxLength={500} value={note} onChange={(event) => setNote(event.currentTarget.value)} />
        <Button size="xs" onClick={() => void save()} disabled={!isChanged || !note.trim() || checked?.faults.length !== 0}>
          {t("rules.save")}
        </Button>
        {isChanged && (
          <Button size="xs" variant="subtle" color="gray" onClick={() => { setText(null); setNote(""); }}>
            {t("rules.undo")}
          </Button>
        )}
      </div>
      <RuleKeys insertExample={() => setText(text.trim() ? `${text.trimEnd()}\n\n${example}` : example)} />
    </section>
  );
}

/** Show a line of the text: the browser brings the caret into sight. */
function select(field: HTMLTextAreaElement | null, line: number) {
  if (!field) return;
  const lines = field.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  field.focus();
  field.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
}

/** What is wrong with the file, a moment after the last key. */
function useCheck(text: string): Checked | null {
  const [checked, setChecked] = useState<Checked | null>(null);
  useEffect(() => {
    let isWanted = true;
    const timer = setTimeout(() => {
      ask<Checked>("/api/rules/check", { method: "POST", body: { text } }).then(
        (answer) => isWanted && setChecked(answer),
        (error: unknown) => isWanted && showRefusal(error),
      );
    }, CHECK_AFTER_MS);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [text]);
  return checked;
}

function faultWords(fault: Fault): string {
  return wordsFor("admin", "rules.fault", fault.code).replace("[key]", fault.key).replace("[expected]", fault.expected);
}

function History({ now, open }: { now: RuleBook; open: (number: number) => void }) {
  const { t } = useTranslation("admin");
  const zone = useMe().time_zone;
  if (now.history.length === 0) return <p className="quiet">{t("rules.none")}</p>;
  return (
    <table className="studies">
      <thead>
        <tr>
          <th scope="col">{t("rules.revision")}</th>
          <th scope="col">{t("at")}</th>
          <th scope="col">{t("audit.actor")}</th>
          <th scope="col">{t("rules.count")}</th>
          <th scope="col">{t("rules.note")}</th>
          <th scope="col">{t("account.actions")}</th>
        </tr>
      </thead>
      <tbody>
        {now.history.map((one) => (
          <tr key={one.number}>
            <td className="numbers">
              {one.number} {one.number === now.number && <small className="rules-good">{t("rules.holding")}</small>}
            </td>
            <td className="numbers quiet">{moment(one.changed_at, zone)}</td>
            <td>{one.changed_by}</td>
            <td className="numbers">{one.rules}</td>
            <td>{one.note}</td>
            <td>
              <Button size="compact-xs" variant="default" onClick={() => open(one.number)}>
                {t("rules.open")}
              </Button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
