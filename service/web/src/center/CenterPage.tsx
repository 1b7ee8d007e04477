/** To come. */
export default function CenterPage() {
  return <p className="notice-page">CenterPage</p>;
}
