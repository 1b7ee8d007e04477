/** To come. */
export default function WorklistPage() {
  return <p className="notice-page">WorklistPage</p>;
}
