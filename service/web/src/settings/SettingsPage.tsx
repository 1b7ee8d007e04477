/** To come. */
export default function SettingsPage() {
  return <p className="notice-page">SettingsPage</p>;
}
