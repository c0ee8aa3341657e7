//! Processes eight bytes at a time in one word, for a target without vector instructions.
//!
//! A mask has the top bit set in each matching byte. A carry or borrow may spill into the byte
//! after a match, so only the first match of a mask is exact, and only [`first`] reads masks. The
//! first byte of the text is the lowest of the word.

const ONES: u64 = u64::MAX / 0xff;
const TOPS: u64 = ONES * 0x80;

/// Marks bytes that a canonical string does not contain unescaped: `"`, `\`, controls, DEL and
/// non-ASCII.
#[inline]
pub(super) fn not_plain(word: u64) -> u64 {
    let control = word.wrapping_sub(ONES * 0x20);
    let quote = (word ^ (ONES * 0x22)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * 0x5c)).wrapping_sub(ONES);
    let delete = word.wrapping_add(ONES);
    (control | quote | backslash | delete | word) & TOPS
}

/// Marks bytes that are not digits.
#[inline]
pub(super) fn not_digit(word: u64) -> u64 {
    // A digit's low six bits become 0 to 9 and those of other ASCII more, whatever the top bits.
    let value = word ^ (ONES * 0x30);
    (value.wrapping_add(ONES * 0x76) | value) & TOPS
}

/// Returns how many bytes precede the first one that a mask marks: 0 to 8.
#[inline]
pub(super) fn first(mask: u64) -> usize {
    mask.trailing_zeros() as usize / 8
}

#[cfg(test)]
#[allow(clippy::indexing_slicing, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    #[test]
    fn the_first_mark_is_exact_for_every_byte_in_every_place() {
        for filler in [b'0', b'9', b'a', b' ', b'~', b'!', b'#', b'[', b']'] {
            for place in 0..8 {
                for byte in 0..=255u8 {
                    // The bytes after a match must not matter.
                    for after in [filler, b'"', 0, 0x7f, 0xff, b'\\'] {
                        let mut bytes = [filler; 8];
                        bytes[place] = byte;
                        bytes[place + 1..].fill(after);
                        check(bytes);
                    }
                }
            }
        }
    }

    fn check(bytes: [u8; 8]) {
        let word = u64::from_le_bytes(bytes);
        let plain = |b: &u8| matches!(b, 0x20..=0x7e) && !matches!(b, b'"' | b'\\');
        let expected = bytes.iter().position(|b| !plain(b)).unwrap_or(8);
        assert_eq!(first(not_plain(word)), expected, "{bytes:x?}");
        let expected = bytes.iter().position(|b| !b.is_ascii_digit()).unwrap_or(8);
        assert_eq!(first(not_digit(word)), expected, "{bytes:x?}");
    }
}
