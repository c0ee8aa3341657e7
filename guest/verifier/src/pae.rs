//! Pre-authentication encoding, as PASETO defines it: an injective encoding of a list of byte
//! strings into one byte string.

/// Encodes the number of pieces, then each piece's length and bytes. Numbers are 64-bit
/// little-endian.
pub(crate) fn encode(pieces: &[&[u8]]) -> Vec<u8> {
    let bytes = pieces.iter().map(|piece| 8 + piece.len()).sum::<usize>();
    let mut encoded = Vec::with_capacity(8 + bytes);
    encoded.extend(number(pieces.len()));
    for piece in pieces {
        encoded.extend(number(piece.len()));
        encoded.extend_from_slice(piece);
    }
    encoded
}

/// PASETO clears the top bit for languages without unsigned integers; no length here comes near it.
fn number(n: usize) -> [u8; 8] {
    let n = u64::try_from(n).unwrap_or(u64::MAX);
    (n & (u64::MAX >> 1)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::encode;

    #[test]
    fn the_encoding_is_that_of_the_paseto_specification() {
        // The examples from the section "PAE Definition".
        assert_eq!(encode(&[]), [0; 8]);
        assert_eq!(encode(&[b""]), [[1, 0, 0, 0, 0, 0, 0, 0], [0; 8]].concat());
        let test = [&[1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0], b"test".as_slice()].concat();
        assert_eq!(encode(&[b"test"]), test);
    }

    #[test]
    fn letters_that_move_between_pieces_change_it() {
        assert_ne!(encode(&[b"ab", b"c"]), encode(&[b"a", b"bc"]));
        assert_ne!(encode(&[b"ab", b""]), encode(&[b"", b"ab"]));
        assert_ne!(encode(&[b"ab"]), encode(&[b"ab", b""]));
    }
}
