/** Addresses of the app. Pages are loaded when first opened; the reader and its viewer are the large one. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";
import { Missing, PageFailed } from "./Missing.tsx";
import { Root, Shell } from "./Shell.tsx";
import { homeOf } from "./home.ts";
import { loadMe } from "./me.ts";

const root = createRootRoute({ component: Root, notFoundComponent: Missing, errorComponent: PageFailed });

/** Everything that needs a person who signed in. */
const inside = createRoute({
  getParentRoute: () => root,
  id: "inside",
  component: Shell,
  beforeLoad: async ({ location }) => {
    const me = await loadMe();
    if (!me) throw redirect({ to: "/sign-in", search: { next: location.href } });
    if (me.must.length > 0 && location.pathname !== "/welcome") throw redirect({ to: "/welcome" });
    return { me };
  },
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  validateSearch: ({ next, refused }: Record<string, unknown>): { next?: string; refused?: string } => ({
    ...(typeof next === "string" && /^\/(?!\/)/.test(next) && { next }),
    ...(typeof refused === "string" && { refused }),
  }),
  component: lazyRouteComponent(() => import("../access/SignInPage.tsx")),
});

const home = createRoute({
  getParentRoute: () => inside,
  path: "/",
  beforeLoad: ({ context }) => {
    throw redirect({ to: homeOf(context.me), replace: true });
  },
});

const welcome = createRoute({
  getParentRoute: () => inside,
  path: "/welcome",
  component: lazyRouteComponent(() => import("../access/WelcomePage.tsx")),
});
const worklist = createRoute({
  getParentRoute: () => inside,
  path: "/worklist",
  component: lazyRouteComponent(() => import("../worklist/WorklistPage.tsx")),
});
const read = createRoute({
  getParentRoute: () => inside,
  path: "/read/$id",
  component: lazyRouteComponent(() => import("../reader/ReaderPage.tsx")),
});
const upload = createRoute({
  getParentRoute: () => inside,
  path: "/upload",
  component: lazyRouteComponent(() => import("../upload/UploadPage.tsx")),
});
const center = createRoute({
  getParentRoute: () => inside,
  path: "/center",
  component: lazyRouteComponent(() => import("../center/CenterPage.tsx")),
});
const centerStudy = createRoute({
  getParentRoute: () => inside,
  path: "/center/$id",
  component: lazyRouteComponent(() => import("../center/CenterStudyPage.tsx")),
});
const report = createRoute({
  getParentRoute: () => inside,
  path: "/reports/$id",
  component: lazyRouteComponent(() => import("../reports/ReportPage.tsx")),
});
const settings = createRoute({
  getParentRoute: () => inside,
  path: "/settings",
  component: lazyRouteComponent(() => import("../settings/SettingsPage.tsx")),
});
const admin = createRoute({
  getParentRoute: () => inside,
  path: "/admin",
  component: lazyRouteComponent(() => import("../admin/AdminPage.tsx")),
});

const pages = [home, welcome, worklist, read, upload, center, centerStudy, report, settings, admin];

export const router = createRouter({
  routeTree: root.addChildren([signIn, inside.addChildren(pages)]),
  defaultPreload: "intent",
  scrollRestoration: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
