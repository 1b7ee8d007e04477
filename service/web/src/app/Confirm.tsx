/** Asks once more who signs, when the service wants to know, and then does what was asked. */
import { Button, Modal, PasswordInput } from "@mantine/core";
import { type FormEvent, type ReactNode, useCallback, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { CodeField } from "../access/PasswordForm.tsx";
import { ask, Refused } from "../api.ts";
import { meOptions, useMe } from "./me.ts";
import { ProviderConfirm, useOnlyProvider } from "./ProviderConfirm.tsx";
import { queries } from "./queries.ts";
import { refusalWords, showRefusal } from "./refusals.ts";

/** Returns how to run an action that may need a fresh password, and the dialog to put on the page. */
export function useConfirmed(): { run: (act: () => Promise<void>) => Promise<void>; dialog: ReactNode } {
  const [open, setOpen] = useState(false);
  const waiting = useRef<(() => Promise<void>) | null>(null);
  const run = useCallback(async (act: () => Promise<void>) => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Refused && error.code === "confirm_first")) return showRefusal(error);
      waiting.current = act;
      setOpen(true);
    }
    return undefined;
  }, []);
  const confirmed = async () => {
    setOpen(false);
    await queries.invalidateQueries(meOptions);
    if (waiting.current) await run(waiting.current);
  };
  return { run, dialog: open && <ConfirmDialog close={() => setOpen(false)} confirmed={confirmed} /> };
}

interface DialogProps {
  close: () => void;
  confirmed: () => Promise<void>;
}

export function ConfirmDialog({ close, confirmed }: DialogProps) {
  const { t } = useTranslation("access");
  return (
    <Modal opened onClose={close} title={t("confirm.title")} closeButtonProps={{ "aria-label": t("common:close") }}>
      {useOnlyProvider() ? (
        <div className="door-form">
          <ProviderConfirm onConfirmed={() => void confirmed()} />
        </div>
      ) : (
        <PasswordConfirm confirmed={confirmed} />
      )}
    </Modal>
  );
}

function PasswordConfirm({ confirmed }: Pick<DialogProps, "confirmed">) {
  const { t } = useTranslation("access");
  const me = useMe();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [trouble, setTrouble] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await ask("/api/me/confirm", { method: "POST", body: { password, ...(code ? { code: code.replaceAll(" ", "") } : {}) } });
      await confirmed();
    } catch (error) {
      setTrouble(refusalWords(error));
    }
  };
  return (
    <form className="door-form" onSubmit={(event) => void submit(event)}>
      <p className="door-note">{t("confirm.how")}</p>
      <PasswordInput
        label={t("password")} autoComplete="current-password" required withAsterisk={false} data-autofocus maxLength={128}
        value={password} onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {me.has_totp && <CodeField value={code} onChange={setCode} />}
      <p role="alert" className="door-trouble">
        {trouble}
      </p>
      <Button type="submit">{t("confirm.go")}</Button>
    </form>
  );
}
