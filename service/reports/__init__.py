"""Reports: coded findings and text, composed in every language, signed, and never edited afterwards."""
