//! Characters that could deceive the reader of a terminal, a page or a report.

/// Returns whether a character is invisible or changes how other characters are shown: a control
/// character, one that changes the writing direction or breaks a line, a soft hyphen, an
/// annotation, a tag, or one of zero width.
pub fn is_deceptive(char: char) -> bool {
    if char.is_ascii() {
        return char.is_ascii_control();
    }
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
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
    fn control_and_invisible_characters_are_deceptive_and_letters_are_not() {
        for char in
            "\0\u{1b}\r\n\t\u{7f}\u{9b}\u{ad}\u{200e}\u{202e}\u{2066}\u{feff}\u{e0041}".chars()
        {
            assert!(is_deceptive(char), "{char:?}");
            assert_eq!(is_plain_in_lines(char), matches!(char, '\n' | '\t'), "{char:?}");
        }
        assert_eq!(in_one_line("a\u{202e}\nb"), "a\\u{202e}\\u{a}b");
        assert_eq!(in_lines("a\u{202e}\nb"), "a\\u{202e}\nb");
        for char in " ~aéß中🦀\u{a0}\u{ac}\u{ae}\u{2010}\u{2029f}".chars() {
            assert!(!is_deceptive(char) && is_plain_in_lines(char), "{char:?}");
        }
    }
}
