//! What is built in: the style, the script and the icon. Their address has a hash of what they are, so
//! that a browser keeps them for as long as they are the same.

use std::hash::Hasher;
use std::sync::OnceLock;

use rustc_hash::FxHasher;

const STYLE: &str = include_str!("asset/style.css");
const SCRIPT: &str = include_str!("asset/page.js");
const ICON: &str = include_str!("asset/icon.svg");

/// A part of the address of all of them.
pub(super) fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let mut hasher = FxHasher::default();
        [STYLE, SCRIPT, ICON].iter().for_each(|text| hasher.write(text.as_bytes()));
        format!("{:016x}", hasher.finish())
    })
}

/// What is below `/static/VERSION/`, and of which type.
pub(super) fn get(name: &str) -> Option<(&'static str, &'static str)> {
    match name {
        "style.css" => Some((STYLE, "text/css; charset=utf-8")),
        "page.js" => Some((SCRIPT, "text/javascript; charset=utf-8")),
        "icon.svg" => Some((ICON, "image/svg+xml")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_small() {
        assert!(SCRIPT.len() <= 8 << 10, "{}", SCRIPT.len());
        assert!(STYLE.len() <= 12 << 10, "{}", STYLE.len());
    }
}
