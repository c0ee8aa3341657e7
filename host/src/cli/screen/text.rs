//! Escaping and wrapping of texts that others chose.

use signoff_core::deceptive::is_deceptive;
use unicode_segmentation::UnicodeSegmentation;

/// More combining marks on one character are escaped: they would be drawn over other lines.
const MARKS_MAX: usize = 4;

/// Returns a text for one line: characters that deceive, combining marks without a base, and marks
/// beyond four on one base are escaped.
pub(super) fn in_one_line(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        let mut chars = cluster.chars();
        let Some(base) = chars.next() else { continue };
        let escaped = is_deceptive(base) || extends(base);
        push(&mut shown, base, escaped);
        for (number, mark) in chars.enumerate() {
            let escaped = escaped || number >= MARKS_MAX || is_deceptive(mark);
            push(&mut shown, mark, escaped);
        }
    }
    shown
}

fn push(shown: &mut String, char: char, escaped: bool) {
    match (escaped, char) {
        (false, _) => shown.push(char),
        (true, '\n') => shown.push_str("\\n"),
        (true, '\r') => shown.push_str("\\r"),
        (true, '\t') => shown.push_str("\\t"),
        (true, _) => shown.extend(char.escape_unicode()),
    }
}

/// Returns whether a character has no place of its own, but joins the one before it.
fn extends(char: char) -> bool {
    !char.is_ascii() && format!("a{char}").graphemes(true).count() == 1
}

/// Breaks an escaped line into pieces of at most `columns` columns, at a space where there is one in
/// the second half of a piece.
pub(super) fn wrap(line: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(COLUMNS_MIN);
    let mut pieces = Vec::new();
    let (mut piece, mut width, mut space) = (String::new(), 0, None);
    for cluster in line.graphemes(true) {
        let wide = self::columns(cluster);
        while width + wide > columns && !piece.is_empty() {
            let rest = match space {
                Some(at) if at > piece.len() / 2 => piece.split_off(at),
                _ => String::new(),
            };
            pieces.push(std::mem::replace(&mut piece, rest));
            (width, space) = (self::columns(&piece), None);
        }
        piece.push_str(cluster);
        width += wide;
        if cluster == " " {
            space = Some(piece.len());
        }
    }
    pieces.push(piece);
    pieces
}

/// The columns of the widest piece that is not broken: a base with its marks.
pub(super) const COLUMNS_MIN: usize = 2 * (1 + MARKS_MAX);

/// Returns an upper bound of the columns that a text takes on any terminal. Terminals differ about
/// every character beyond ASCII, and none gives it more than two.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(|char| if char.is_ascii() { 1 } else { 2 }).sum()
}

/// Returns as much of a text as fits, with a mark where it was cut.
pub(super) fn fit(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut kept = String::new();
    for cluster in text.graphemes(true) {
        if columns(&kept) + columns(cluster) + 2 > most {
            break;
        }
        kept.push_str(cluster);
    }
    format!("{kept}..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_escaped_and_letters_are_not() {
        for (text, shown) in [
            ("Zoë 請求書 Zoe\u{308} 🦀", "Zoë 請求書 Zoe\u{308} 🦀"),
            ("a\u{202e}b\r\n\tc", "a\\u{202e}b\\r\\n\\tc"),
            ("\u{301}a", "\\u{301}a"),
            ("\u{1f469}\u{200d}\u{1f469}", "\u{1f469}\\u{200d}\u{1f469}"),
            ("a\u{3164}b\u{a0}c\u{e000}", "a\\u{3164}b\\u{a0}c\\u{e000}"),
        ] {
            assert_eq!(in_one_line(text), shown);
        }
        let zalgo = format!("a{}", "\u{301}".repeat(9));
        assert_eq!(in_one_line(&zalgo).matches("\\u{301}").count(), 5);
    }

    #[test]
    fn pieces_are_the_line_and_fit() {
        for line in [
            "",
            "a",
            "a b c d e f g h i j",
            "请求书请求书请求书",
            &"x".repeat(99),
            "ab cdefghijklmn op",
            "ab cdef\u{301}\u{301}\u{301}\u{301} op",
        ] {
            for width in COLUMNS_MIN..30 {
                let pieces = wrap(line, width);
                assert_eq!(pieces.concat(), line);
                assert!(pieces.iter().all(|piece| columns(piece) <= width), "{pieces:?}");
            }
        }
        assert_eq!(wrap("deploy to production now", 12), ["deploy to ", "production ", "now"]);
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(fit("abcdef", 6), "abcdef");
        assert_eq!(fit("abcdefg", 6), "abcd..");
        assert_eq!(fit("請求書類", 6), "請求..");
    }
}
