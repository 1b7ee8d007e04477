/** To come. */
export default function CenterStudyPage() {
  return <p className="notice-page">CenterStudyPage</p>;
}
