/** The way in: a one-time link, a password with a code, or the hospital's own sign-in. */
import { Button, PasswordInput, PinInput, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { ask, Refused } from "../api.ts";
import { LanguageMenu } from "../app/LanguageMenu.tsx";
import { forgetMe } from "../app/me.ts";
import "./access.css";

type Trouble = "link" | "password" | "code" | "slow" | "other" | null;

/** Takes the one-time token out of the address, so that no history keeps it. It stood after "#": no server saw it. */
function takeToken(): string | null {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (location.hash) history.replaceState(null, "", location.pathname);
  return token;
}

/** Why the hospital's sign-in ended without one: the codes that its way back gives. */
const REFUSALS = ["state", "issuer", "denied", "provider", "unknown", "not_confirmed"] as const;

function refusalOf(code: string): (typeof REFUSALS)[number] | "other" {
  return REFUSALS.find((one) => one === code) ?? "other";
}

function troubleOf(error: unknown, hadCode: boolean): Trouble {
  if (!(error instanceof Refused)) return "other";
  if (error.status === 429) return "slow";
  if (error.status === 401) return hadCode ? "code" : "password";
  return "other";
}

export default function SignInPage() {
  const { t } = useTranslation("access");
  const { next, refused } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const [trouble, setTrouble] = useState<Trouble>(null);
  const [token, setToken] = useState<string | null>(takeToken);
  const [linkWithCode, setLinkWithCode] = useState<string | null>(null);
  const used = useRef<string | null>(null);
  const options = useQuery({
    queryKey: ["sign-in", "options"],
    queryFn: () => ask<{ oidc: boolean }>("/api/sign-in/options"),
    staleTime: Infinity,
    retry: false,
  });

  const enter = async () => {
    forgetMe();
    await navigate({ href: next ?? "/", replace: true });
  };

  useEffect(() => {
    const look = () => setToken(takeToken);
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  useEffect(() => {
    if (!token || used.current === token) return;
    used.current = token;
    ask("/api/sign-in", { method: "POST", body: { token } })
      .then(enter)
      .catch((error: unknown) => {
        if (error instanceof Refused && error.code === "totp_required") return setLinkWithCode(token);
        setTrouble(error instanceof Refused && error.status === 429 ? "slow" : "link");
        return undefined;
      })
      .finally(() => setToken(null));
  });

  return (
    <div className="door">
      <section className="door-card">
        <header className="door-head">
          <img src="/assets/pandok.svg" alt="" width={34} height={34} />
          <h1 lang="en">Pandok</h1>
          <LanguageMenu />
        </header>
        {token ? (
          <p role="status">{t("sign_in.working")}</p>
        ) : (
          <PasswordForm key={linkWithCode} link={linkWithCode} trouble={trouble} setTrouble={setTrouble} enter={enter} />
        )}
        {refused && (
          <p role="alert" className="door-trouble">
            {t(`refused.${refusalOf(refused)}`)}
          </p>
        )}
        {options.data?.oidc && (
          <Button component="a" href="/api/oidc/start" variant="default" fullWidth>
            {t("sign_in.oidc")}
          </Button>
        )}
        <p className="quiet door-note">{t("sign_in.no_password")}</p>
      </section>
    </div>
  );
}

interface FormProps {
  /** A one-time link that stands for login and password; its account wants a code too. */
  link: string | null;
  trouble: Trouble;
  setTrouble: (trouble: Trouble) => void;
  enter: () => Promise<void>;
}

function PasswordForm({ link, trouble, setTrouble, enter }: FormProps) {
  const { t } = useTranslation("access");
  const [login, setLogin] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [wantsCode, setWantsCode] = useState(link !== null);
  const [sending, setSending] = useState(false);

  const send = async (withCode: string) => {
    setSending(true);
    setTrouble(null);
    try {
      await ask("/api/sign-in", { method: "POST", body: { ...(link ? { token: link } : { login, password }), ...(withCode ? { code: withCode } : {}) } });
      await enter();
    } catch (error) {
      if (error instanceof Refused && error.code === "totp_required") setWantsCode(true);
      else setTrouble(troubleOf(error, withCode !== ""));
      setCode("");
    } finally {
      setSending(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void send(code);
  };

  return (
    <form className="door-form" onSubmit={submit}>
      {!link && (
        <>
          <TextInput
            label={t("login")}
            autoComplete="username"
            required
            withAsterisk={false}
            maxLength={128}
            value={login}
            onChange={(event) => setLogin(event.currentTarget.value)}
            data-autofocus
            autoFocus
          />
          <PasswordInput
            label={t("password")}
            autoComplete="current-password"
            required
            withAsterisk={false}
            maxLength={128}
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
        </>
      )}
      {wantsCode && (
        <div>
          <p className="door-label" id="code-label">
            {t("code")}
          </p>
          <PinInput
            length={6}
            type="number"
            oneTimeCode
            autoFocus
            aria-label={t("code")}
            value={code}
            onChange={setCode}
            onComplete={(whole) => void send(whole)}
            getInputProps={(place) => ({ "aria-label": `${t("code")} ${place + 1}` })}
          />
        </div>
      )}
      <p role="alert" className="door-trouble">
        {trouble ? t(`trouble.${trouble}`) : ""}
      </p>
      <Button type="submit" fullWidth loading={sending}>
        {t("sign_in.title")}
      </Button>
    </form>
  );
}
