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

interface Confirmed {
  run: (act: () => Promise<void>) => Promise<void>;
  /** To be put on the page. */
  dialog: ReactNode;
  isAsking: boolean;
}

/** Returns how to run an action that may need a fresh proof of who sits here; `isSignature` when it is one. */
export function useConfirmed({ isSignature }: { isSignature: boolean }): Confirmed {
  const [isAsking, setAsking] = useState(false);
  const waiting = useRef<(() => Promise<void>) | null>(null);
  const run = useCallback(async (act: () => Promise<void>) => {
    try {
      await act();
    } catch (error) {
      if (!(error instanceof Refused && error.code === "confirm_first")) return showRefusal(error);
      waiting.current = act;
      setAsking(true);
    }
    return undefined;
  }, []);
  const confirmed = async () => {
    setAsking(false);
    await queries.invalidateQueries(meOptions);
    if (waiting.current) await run(waiting.current);
  };
  const close = () => setAsking(false);
  return { run, isAsking, dialog: isAsking && <ConfirmDialog {...{ isSignature, close, confirmed }} /> };
}

interface DialogProps {
  isSignature: boolean;
  close: () => void;
  confirmed: () => Promise<void>;
}

function ConfirmDialog({ isSignature, close, confirmed }: DialogProps) {
  const { t } = useTranslation("access");
  return (
    <Modal opened onClose={close} title={t("confirm.title")} closeButtonProps={{ "aria-label": t("common:close") }}>
      {useOnlyProvider() ? (
        <div className="door-form">
          <ProviderConfirm onConfirmed={() => void confirmed()} />
        </div>
      ) : (
        <PasswordConfirm isSignature={isSignature} confirmed={confirmed} />
      )}
    </Modal>
  );
}

function PasswordConfirm({ isSignature, confirmed }: Omit<DialogProps, "close">) {
  const { t } = useTranslation("access");
  const me = useMe();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [trouble, setTrouble] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await ask("/api/me/confirm", { method: "POST", body: { password, ...(code ? { code: code.replaceAll(" ", "") } : {}) } });
    } catch (error) {
      return setTrouble(refusalWords(error));
    }
    await confirmed();
  };
  return (
    <form className="door-form" onSubmit={(event) => void submit(event)}>
      <p className="door-note">{isSignature ? t("confirm.sign", { name: me.name }) : t("confirm.how")}</p>
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
