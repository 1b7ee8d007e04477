/** To come. */
export default function AdminPage() {
  return <p className="notice-page">AdminPage</p>;
}
