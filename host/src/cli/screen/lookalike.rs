//! Words that look like others: letters of several scripts, or letters and signs that stand for ASCII
//! ones in another script, such as `рау` for `pay`.
//!
//! The letters that look alike are those of Unicode's confusables. A word of another script whose letters
//! all look like ASCII gets a remark, too, though it may be honest: a reader of that script knows.

use signoff_core::deceptive::in_one_line;
use unicode_security::{MixedScript, skeleton};

/// Characters of a word that a remark shows.
const SHOWN_MAX: usize = 40;

/// Returns a remark on the first word that may look like another one.
pub(in crate::cli) fn remark(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let words = text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_ascii());
    let of_word = words.into_iter().find_map(|word| {
        if !word.is_single_script() {
            return Some(format!("letters of several scripts in one word: {}", start_of(word)));
        }
        let ascii: Option<String> = word.chars().map(ascii_of).collect();
        let ascii = ascii.filter(|ascii| ascii != word)?;
        Some(format!("{} is not {}, though it looks like it", start_of(word), start_of(&ascii)))
    });
    of_word.or_else(|| {
        let sign = text.chars().find(|char| is_sign(*char))?;
        let ascii = ascii_of(sign)?;
        Some(format!(
            "`{sign}` (U+{:04X}) is not `{ascii}`, though it looks like it",
            u32::from(sign)
        ))
    })
}

/// Returns the ASCII letter, digit or sign that a character looks like, or is.
fn ascii_of(char: char) -> Option<char> {
    if char.is_ascii() {
        return Some(char);
    }
    let mut text = [0; 4];
    let mut looks = skeleton(char.encode_utf8(&mut text));
    looks.next().filter(|first| first.is_ascii_graphic() && looks.next().is_none())
}

/// Returns whether a character looks like one of the signs that separate the parts of paths, names and
/// addresses. Dashes and quotation marks are ordinary typography.
fn is_sign(char: char) -> bool {
    let is_typography = matches!(char, '\u{2010}'..='\u{201f}');
    !char.is_ascii()
        && !char.is_alphanumeric()
        && !is_typography
        && ascii_of(char).is_some_and(|ascii| "/\\:.@;&|<>$=".contains(ascii))
}

fn start_of(word: &str) -> String {
    in_one_line(&word.chars().take(SHOWN_MAX).collect::<String>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::remark;

    #[test]
    fn a_word_that_looks_like_another_is_remarked_on() {
        for (text, piece) in [
            ("p\u{430}ypal", "letters of several scripts in one word: p\u{430}ypal"),
            ("\u{440}\u{430}\u{443}@\u{441}\u{43e}\u{440}\u{443}.com", "is not pay"),
            ("ok \u{13aa}\u{13cf}\u{13df}.com", "is not AbC, though"),
            ("\u{217c}s -l", "is not ls"),
            ("\u{1d5c9}rod", "is not prod"),
            ("\u{261}ithub.com", "is not github"),
            ("\u{2215}etc\u{2215}passwd", "`\u{2215}` (U+2215) is not `/`"),
            ("a\u{589}b", "(U+0589) is not `:`"),
        ] {
            let found = remark(text).unwrap_or_default();
            assert!(found.contains(piece), "{text}: {found}");
        }
    }

    #[test]
    fn ordinary_words_are_not() {
        for text in [
            "plain",
            "Zoë Müller",
            "請求書.pdf",
            "naïve café",
            "it’s “quoted” – and…",
            "Привет мир",
            "Ελληνικά",
            "שלום",
            "日本語のテキスト",
            "5 €",
            "done ✓",
            "10\u{a0}000",
        ] {
            assert_eq!(remark(text), None, "{text}");
        }
    }
}
