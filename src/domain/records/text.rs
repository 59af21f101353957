//! Texts that every journal can keep.

/// Text as every backend takes it outside of a document.
pub(crate) fn storable(text: String) -> String {
    if text.contains('\0') {
        return text.replace('\0', "\u{fffd}");
    }
    text
}
