/** To come. */
export default function SignInPage() {
  return <p className="notice-page">SignInPage</p>;
}
