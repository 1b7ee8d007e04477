/** To come. */
export default function ReportPage() {
  return <p className="notice-page">ReportPage</p>;
}
