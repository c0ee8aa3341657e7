//! Strict Base64 (RFC 4648): each byte sequence has exactly one text. Padding is required in the
//! standard alphabet and refused in the URL alphabet, and the unused bits of the last character
//! must be zero.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};

/// Encodes in the standard alphabet with padding.
pub fn encode(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

/// Decodes the standard alphabet with padding; `None` for any other text.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    Base64::decode_vec(text).ok()
}

/// Encodes in the URL alphabet without padding.
pub fn encode_url(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(bytes)
}

/// Decodes the URL alphabet without padding; `None` for any other text.
pub fn decode_url(text: &str) -> Option<Vec<u8>> {
    Base64UrlUnpadded::decode_vec(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of RFC 4648, section 10, and two bytes whose characters differ between the
    /// alphabets.
    const PAIRS: [(&[u8], &str); 8] = [
        (b"", ""),
        (b"f", "Zg=="),
        (b"fo", "Zm8="),
        (b"foo", "Zm9v"),
        (b"foob", "Zm9vYg=="),
        (b"fooba", "Zm9vYmE="),
        (b"foobar", "Zm9vYmFy"),
        (b"\xfb\xff\xbf", "+/+/"),
    ];

    #[test]
    fn the_published_pairs_hold_in_both_alphabets() {
        for (bytes, text) in PAIRS {
            let url = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
            assert_eq!(encode(bytes), text);
            assert_eq!(encode_url(bytes), url);
            assert_eq!(decode(text).as_deref(), Some(bytes));
            assert_eq!(decode_url(&url).as_deref(), Some(bytes));
        }
    }

    #[test]
    fn every_decodable_text_is_the_encoding_of_its_bytes() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_= \n.";
        let (mut decoded, mut refused) = (0, 0);
        for last in alphabet.chars() {
            for before in alphabet.chars() {
                for tail in ["", "=", "=="] {
                    let text = format!("AAAAA{before}{last}{tail}");
                    for (bytes, again) in [
                        (decode(&text), encode as fn(&[u8]) -> String),
                        (decode_url(&text), encode_url),
                    ] {
                        match bytes {
                            Some(bytes) => {
                                assert_eq!(again(&bytes), text);
                                decoded += 1;
                            }
                            None => refused += 1,
                        }
                    }
                }
            }
        }
        for other in ["AB==", "AA", "AA=", "AA==\n", " AA==", "A===", "AA==AA=="] {
            assert_eq!(decode(other), None, "{other:?}");
        }
        assert!(decoded > 1_000 && refused > 10_000, "{decoded} {refused}");
    }
}
