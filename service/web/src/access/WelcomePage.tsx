/** To come. */
export default function WelcomePage() {
  return <p className="notice-page">WelcomePage</p>;
}
