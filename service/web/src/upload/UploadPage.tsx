/** To come. */
export default function UploadPage() {
  return <p className="notice-page">UploadPage</p>;
}
