//! Characters that could deceive the reader of a terminal, a page or a report: the one table for
//! everything that shows text which others chose.

/// Characters that are shown escaped, beyond those that `char::is_control` and
/// [`is_noncharacter`] name. In ascending order.
///
/// They are the default-ignorable code points of Unicode 17, which show nothing or change how their
/// neighbours are shown; the line and paragraph separators and the interlinear annotations; spaces
/// other than U+0020, which hide that a text has two words or one, and the braille blank, which
/// looks like one; and private use, for which each font shows something else.
const DECEPTIVE: [(char, char); 25] = [
    ('\u{a0}', '\u{a0}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2000}', '\u{200f}'),
    ('\u{2028}', '\u{202f}'),
    ('\u{205f}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3000}', '\u{3000}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{e000}', '\u{f8ff}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{16fe4}', '\u{16fe4}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d159}', '\u{1d159}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{10ffff}'),
];

/// Returns whether a character is invisible, changes how other characters are shown, or looks like
/// nothing that a reader can name.
pub fn is_deceptive(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_control();
    }
    let after = DECEPTIVE.partition_point(|(first, _)| *first <= char);
    let in_table =
        DECEPTIVE.get(..after).and_then(<[_]>::last).is_some_and(|(_, last)| char <= *last);
    in_table || char.is_control() || is_noncharacter(char)
}

/// Returns whether Unicode reserves a code point for no character, ever.
fn is_noncharacter(char: char) -> bool {
    let code = u32::from(char);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

/// Returns whether a multi-line text may show a character unescaped: also line feed and tab.
pub fn is_plain_in_lines(char: char) -> bool {
    matches!(char, '\n' | '\t') || !is_deceptive(char)
}

/// Returns the text with every deceptive character escaped, for one line of output.
pub fn in_one_line(text: &str) -> String {
    escaped(text, |char| !is_deceptive(char))
}

/// Returns the text with every deceptive character except line feed and tab escaped.
pub fn in_lines(text: &str) -> String {
    escaped(text, is_plain_in_lines)
}

fn escaped(text: &str, is_plain: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if is_plain(char) {
            shown.push(char);
        } else {
            shown.extend(char.escape_unicode());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        let ends: Vec<char> = DECEPTIVE.iter().flat_map(|(first, last)| [*first, *last]).collect();
        assert!(ends.is_sorted(), "{ends:?}");
    }

    #[test]
    fn blank_ignorable_and_private_characters_are_deceptive() {
        for char in "\u{a0}\u{34f}\u{115f}\u{1160}\u{2000}\u{200a}\u{202f}\u{2800}\u{3000}\u{3164}\u{e000}\u{f8ff}\u{fe0f}\u{ffa0}\u{ffff}\u{e0100}\u{e01ef}\u{f0000}\u{10fffd}".chars() {
            assert!(is_deceptive(char), "{char:?}");
        }
    }

    #[test]
    fn control_and_invisible_characters_are_deceptive_and_letters_are_not() {
        for char in
            "\0\u{1b}\r\n\t\u{7f}\u{9b}\u{ad}\u{200e}\u{202e}\u{2066}\u{feff}\u{e0041}".chars()
        {
            assert!(is_deceptive(char), "{char:?}");
            assert_eq!(is_plain_in_lines(char), matches!(char, '\n' | '\t'), "{char:?}");
        }
        assert_eq!(in_one_line("a\u{202e}\nb"), "a\\u{202e}\\u{a}b");
        assert_eq!(in_lines("a\u{202e}\nb"), "a\\u{202e}\nb");
        for char in " ~aéß中🦀\u{ac}\u{ae}\u{2010}\u{2029f}\u{fffd}請求書\u{301}".chars() {
            assert!(!is_deceptive(char) && is_plain_in_lines(char), "{char:?}");
        }
    }
}
