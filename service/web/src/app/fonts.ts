/** Hangul, Vietnamese and Cyrillic in slices; loaded after the first paint so that it never waits for them. */
import "@fontsource-variable/noto-sans-kr/wght.css";
