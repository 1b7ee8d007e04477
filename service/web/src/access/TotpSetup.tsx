/** Enrolling an authenticator: scan the picture or type the secret, then prove it with one code. */
import { Button } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask } from "../api.ts";
import { useConfirmed } from "../app/Confirm.tsx";
import { refusalWords } from "../app/refusals.ts";
import { CodeField } from "./PasswordForm.tsx";

interface Secret {
  secret: string;
  uri: string;
  qr_svg: string;
}

export function TotpSetup({ done }: { done: () => Promise<void> | void }) {
  const { t } = useTranslation("access");
  const [secret, setSecret] = useState<Secret | null>(null);
  const [code, setCode] = useState("");
  const [trouble, setTrouble] = useState("");

  const { run, dialog } = useConfirmed({ isSignature: false });

  const begin = () => run(async () => setSecret(await ask<Secret>("/api/me/totp", { method: "POST" })));
  const confirm = async (event: FormEvent) => {
    event.preventDefault();
    setTrouble("");
    try {
      await ask("/api/me/totp/confirm", { method: "POST", body: { code: code.replaceAll(" ", "") } });
      await done();
    } catch (error) {
      setTrouble(refusalWords(error));
    }
  };

  return (
    <div className="door-form">
      <p className="quiet door-note">{t("totp.how")}</p>
      {secret === null ? (
        <Button variant="default" onClick={() => void begin()}>
          {t("totp.begin")}
        </Button>
      ) : (
        <form className="door-form" onSubmit={(event) => void confirm(event)}>
          <div className="totp">
            <img alt={t("totp.picture")} src={`data:image/svg+xml;utf8,${encodeURIComponent(secret.qr_svg)}`} />
            <div>
              <p className="door-label">{t("totp.by_hand")}</p>
              <code>{secret.secret.match(/.{1,4}/g)?.join(" ")}</code>
            </div>
          </div>
          <CodeField value={code} onChange={setCode} />
          <Button type="submit" disabled={code.replaceAll(" ", "").length !== 6}>
            {t("totp.confirm")}
          </Button>
        </form>
      )}
      <p role="alert" className="door-trouble">
        {trouble}
      </p>
      {dialog}
    </div>
  );
}
