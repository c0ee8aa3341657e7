//! Lower-case hex for the values written in every call.

use sha2::{Digest, Sha256};

/// Encodes bytes as two lower-case characters each. `hex::encode` collects the same text one
/// character at a time, which in WebAssembly takes longer than a block of SHA-256.
///
/// ```
/// assert_eq!(signoff_core::hex::encode(&[0x00, 0x9f, 0xff]), "009fff");
/// ```
pub fn encode(bytes: &[u8]) -> String {
    let mut text = vec![0; bytes.len().saturating_mul(2)];
    #[expect(clippy::expect_used, reason = "the text is twice as long, and hex is ASCII")]
    {
        hex::encode_to_slice(bytes, &mut text).expect("the text is twice as long");
        String::from_utf8(text).expect("hex is ASCII")
    }
}

/// Returns the SHA-256 of `bytes` as 64 lower-case hex characters.
///
/// ```
/// assert_eq!(
///     signoff_core::hex::sha256(b""),
///     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
/// );
/// ```
pub fn sha256(bytes: &[u8]) -> String {
    encode(&Sha256::digest(bytes))
}
