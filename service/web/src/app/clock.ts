/** The service's clock on this page: a countdown must not depend on how the browser's own is set. */
import { useEffect, useState } from "react";

let offsetS = 0;

/** Called with the service's time whenever an answer tells it. */
export function setServiceTime(nowS: number): void {
  offsetS = nowS - Date.now() / 1000;
}

export function serviceNow(): number {
  return Date.now() / 1000 + offsetS;
}

/** Returns the service's time, looked at again every few seconds. */
export function useServiceNow(everyMs = 5_000): number {
  const [now, setNow] = useState(serviceNow);
  useEffect(() => {
    const timer = setInterval(() => setNow(serviceNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return Math.max(now, serviceNow() - everyMs / 1000);
}
