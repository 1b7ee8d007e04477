/** What has to be done before anything else: a password of one's own, and a second factor where the role asks for one. */
import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { meOptions, useMe } from "../app/me.ts";
import { queries } from "../app/queries.ts";
import { PasswordForm } from "./PasswordForm.tsx";
import { TotpSetup } from "./TotpSetup.tsx";
import "./access.css";

export default function WelcomePage() {
  const { t } = useTranslation("access");
  const me = useMe();
  const navigate = useNavigate();
  const isFree = me.must.length === 0;
  useEffect(() => {
    if (isFree) void navigate({ to: "/", replace: true });
  }, [isFree, navigate]);
  const again = () => queries.refetchQueries(meOptions);
  const wantsPassword = me.must.includes("set_password");
  return (
    <div className="door">
      <section className="door-card wide">
        <h1>{t("welcome.title", { name: me.name })}</h1>
        {wantsPassword ? (
          <>
            <p className="door-note">{t("welcome.password")}</p>
            <PasswordForm asksCurrent={false} asksCode={me.has_totp} done={again} />
          </>
        ) : (
          <>
            <p className="door-note">{t("welcome.totp")}</p>
            <TotpSetup done={again} />
          </>
        )}
      </section>
    </div>
  );
}
