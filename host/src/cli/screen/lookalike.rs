//! Words that look like others: letters of several scripts, or letters and signs that stand for ASCII
//! ones in another script, such as `рау` for `pay`.
//!
//! The letters that look alike are those of Unicode's confusables. A word of another script whose letters
//! all look like ASCII gets a remark, too, though it may be honest: a reader of that script knows.

use signoff_core::deceptive::in_one_line;
use unicode_security::{MixedScript, skeleton};

/// Characters of a word that a remark shows.
const SHOWN_MAX: usize = 40;
/// Words and signs of one text that are named.
const REMARKS_SHOWN: usize = 3;

/// Returns a remark on the words and signs that may look like others: the first of them, and how many
/// more there are.
pub(in crate::cli) fn remark(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let words = text.split(|char: char| !char.is_alphanumeric()).filter_map(of_word);
    let mut remarks = words.chain(text.chars().filter_map(of_sign));
    let first: Vec<String> = remarks.by_ref().take(REMARKS_SHOWN).collect();
    let more = remarks.count();
    let shown = (!first.is_empty()).then(|| first.join("; "))?;
    Some(if more == 0 { shown } else { format!("{shown}; and {more} more") })
}

fn of_word(word: &str) -> Option<String> {
    if word.is_ascii() {
        return None;
    }
    if !word.is_single_script() {
        return Some(format!("letters of several scripts in one word: {}", start_of(word)));
    }
    let ascii: Option<String> = word.chars().map(ascii_of).collect();
    let ascii = ascii.filter(|ascii| ascii != word)?;
    Some(format!("{} is not {}, though it looks like it", start_of(word), start_of(&ascii)))
}

fn of_sign(char: char) -> Option<String> {
    let ascii = ascii_of(char).filter(|_| is_sign(char))?;
    let (code, sign) = (u32::from(char), start_of(&char.to_string()));
    Some(format!("`{sign}` (U+{code:04X}) is not `{ascii}`, though it looks like it"))
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

    /// An honest word does not hide the others.
    #[test]
    fn several_words_are_named_and_the_rest_counted() {
        let remark =
            remark("\u{440}\u{43e}\u{441} p\u{430}y \u{217c}s \u{261}it a\u{589}b").unwrap();
        for piece in ["is not poc", "p\u{430}y", "is not ls", "; and 2 more"] {
            assert!(remark.contains(piece), "{piece}: {remark}");
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
