/** Choosing a password: long enough is what counts. */
import { Button, PasswordInput, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { refusalWords } from "../app/refusals.ts";
import "./access.css";

export const LEAST_LENGTH = 12;

interface Props {
  /** Ask for the password in force, which whoever has none does not have. */
  asksCurrent: boolean;
  asksCode: boolean;
  done: () => Promise<void> | void;
}

export function PasswordForm({ asksCurrent, asksCode, done }: Props) {
  const { t } = useTranslation("access");
  const [current, setCurrent] = useState("");
  const [fresh, setFresh] = useState("");
  const [again, setAgain] = useState("");
  const [code, setCode] = useState("");
  const [trouble, setTrouble] = useState("");
  const [sending, setSending] = useState(false);
  const isShort = fresh.length > 0 && fresh.length < LEAST_LENGTH;
  const differs = again.length > 0 && again !== fresh;

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (isShort || fresh !== again) return;
    setSending(true);
    setTrouble("");
    try {
      const body = { new: fresh, ...(asksCurrent ? { current } : {}), ...(asksCode && code ? { code } : {}) };
      await ask("/api/me/password", { method: "PUT", body });
      setCurrent("");
      setFresh("");
      setAgain("");
      setCode("");
      await done();
    } catch (error) {
      setTrouble(refusalWords(error));
    } finally {
      setSending(false);
    }
  };

  return (
    <form className="door-form" onSubmit={(event) => void submit(event)}>
      {asksCurrent && (
        <PasswordInput
          label={t("password.current")} autoComplete="current-password" required withAsterisk={false} maxLength={128}
          value={current} onChange={(event) => setCurrent(event.currentTarget.value)}
        />
      )}
      <PasswordInput
        label={t("password.new")} description={t("password.rule", { n: LEAST_LENGTH })} autoComplete="new-password" required
        withAsterisk={false} maxLength={128} value={fresh} onChange={(event) => setFresh(event.currentTarget.value)}
        error={isShort && t("password.short", { n: LEAST_LENGTH })}
      />
      <PasswordInput
        label={t("password.again")} autoComplete="new-password" required withAsterisk={false} maxLength={128}
        value={again} onChange={(event) => setAgain(event.currentTarget.value)} error={differs && t("password.differs")}
      />
      {asksCode && <CodeField value={code} onChange={setCode} />}
      <p role="alert" className="door-trouble">
        {trouble}
      </p>
      <Button type="submit" loading={sending}>
        {t("password.save")}
      </Button>
    </form>
  );
}

/** Six digits of the authenticator. */
export function CodeField({ value, onChange }: { value: string; onChange: (code: string) => void }) {
  const { t } = useTranslation("access");
  return (
    <TextInput
      label={t("code")} inputMode="numeric" autoComplete="one-time-code" pattern="[0-9 ]{6,7}" maxLength={7}
      value={value} onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
