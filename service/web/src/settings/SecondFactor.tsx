/** The authenticator: set up, or taken away again with the password. */
import { Button, PasswordInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { CodeField } from "../access/PasswordForm.tsx";
import { TotpSetup } from "../access/TotpSetup.tsx";
import { ask } from "../api.ts";
import { meOptions, useMe } from "../app/me.ts";
import { queries } from "../app/queries.ts";
import { refusalWords } from "../app/refusals.ts";

export function SecondFactor() {
  const { t } = useTranslation("settings");
  const me = useMe();
  const again = () => queries.refetchQueries(meOptions);
  return (
    <div>
      <h3>{t("totp")}</h3>
      {me.has_totp ? <Removal done={again} /> : <TotpSetup done={again} />}
    </div>
  );
}

function Removal({ done }: { done: () => Promise<void> }) {
  const { t } = useTranslation("settings");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [trouble, setTrouble] = useState("");
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    try {
      await ask("/api/me/totp", { method: "DELETE", body: { password, code: code.replaceAll(" ", "") } });
      await done();
    } catch (error) {
      setTrouble(refusalWords(error));
    }
  };
  return (
    <form className="door-form" onSubmit={(event) => void submit(event)}>
      <p className="settings-good">{t("totp.on")}</p>
      <PasswordInput
        label={t("access:password")} autoComplete="current-password" required withAsterisk={false}
        value={password} onChange={(event) => setPassword(event.currentTarget.value)}
      />
      <CodeField value={code} onChange={setCode} />
      <p role="alert" className="door-trouble">
        {trouble}
      </p>
      <Button type="submit" variant="default">
        {t("totp.remove")}
      </Button>
    </form>
  );
}
