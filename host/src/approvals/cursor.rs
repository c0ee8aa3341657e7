//! Cursors of lists. A page ends after a row that its reader may not read, so a cursor shows the id of
//! that row only to those who read everything. Others get it encrypted.

use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::id::ApprovalId;

const ID_BYTES: usize = 16;
const TAG: u8 = 1;
const MASK: u8 = 2;

/// Makes and reads cursors. The key is of this process: an encrypted cursor ends with it.
pub(super) struct Cursors {
    key: [u8; 32],
}

impl Cursors {
    pub(super) fn new() -> Self {
        Self { key: rand::random() }
    }

    /// Returns the cursor after a row.
    pub(super) fn after(&self, id: ApprovalId, caller: &Caller) -> String {
        if caller.reads_all() {
            return id.to_string();
        }
        // A new nonce each time: two cursors do not show whether they are after the same row.
        let (id, nonce): ([u8; ID_BYTES], _) = (id.to_u128().to_be_bytes(), rand::random());
        let masked = self.masked(id, &nonce);
        let tag = self.keyed(TAG, &[nonce, masked]);
        Base64UrlUnpadded::encode_string(&[nonce, masked, tag].concat())
    }

    /// Returns the row of a cursor; `None` for any text that is not a cursor of this caller.
    pub(super) fn read(&self, cursor: &str, caller: &Caller) -> Option<ApprovalId> {
        if caller.reads_all() {
            return ApprovalId::parse(cursor);
        }
        let bytes = Base64UrlUnpadded::decode_vec(cursor).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<ID_BYTES>()?;
        let (masked, tag) = rest.split_first_chunk::<ID_BYTES>()?;
        let is_ours = self.keyed(TAG, &[*nonce, *masked]) == tag;
        let id = self.masked(*masked, nonce);
        is_ours.then(|| ApprovalId::from_u128(u128::from_be_bytes(id)))
    }

    /// Adds or removes a mask, which differs for each nonce.
    fn masked(&self, mut id: [u8; ID_BYTES], nonce: &[u8; ID_BYTES]) -> [u8; ID_BYTES] {
        id.iter_mut().zip(self.keyed(MASK, &[*nonce])).for_each(|(byte, mask)| *byte ^= mask);
        id
    }

    /// Half of the SHA-256 of the key, a label and blocks. The label determines the length, and half of
    /// the hash cannot be extended.
    fn keyed(&self, label: u8, blocks: &[[u8; ID_BYTES]]) -> [u8; ID_BYTES] {
        let hash = Sha256::new().chain_update(self.key).chain_update([label]);
        let hash = blocks.iter().fold(hash, |hash, block| hash.chain_update(block));
        let hash: [u8; 2 * ID_BYTES] = hash.finalize().into();
        *hash.first_chunk().unwrap_or(&[0; ID_BYTES])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::caller::Holder;
    use crate::role::Role;

    #[test]
    fn a_cursor_shows_its_id_only_to_those_who_read_everything() {
        let caller = |role| {
            Caller::holding(Holder {
                token_id: String::new(),
                subject: "agent:a".to_owned(),
                roles: vec![role],
                agents: None,
            })
        };
        let (requester, auditor) = (caller(Role::Requester), caller(Role::Auditor));
        let (cursors, others) = (Cursors::new(), Cursors::new());
        let id = ApprovalId::parse("appr_01m8j7sr1k3jg9n717dsxmv4h4").unwrap();
        let open = cursors.after(id, &auditor);
        assert_eq!(open, id.to_string());
        assert_eq!(cursors.read(&open, &auditor), Some(id));
        let sealed = cursors.after(id, &requester);
        assert_eq!(cursors.read(&sealed, &requester), Some(id));
        assert_ne!(cursors.after(id, &requester), sealed, "equal rows do not show");
        assert_eq!(others.read(&sealed, &requester), None);
        for (cursor, caller) in [(&open, &requester), (&sealed, &auditor)] {
            assert_eq!(cursors.read(cursor, caller), None);
        }
        let bytes = Base64UrlUnpadded::decode_vec(&sealed).unwrap();
        assert!(
            !bytes.windows(4).any(|part| id
                .to_u128()
                .to_be_bytes()
                .windows(4)
                .any(|of| of == part))
        );
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            *changed.get_mut(at).unwrap() ^= 1;
            let changed = Base64UrlUnpadded::encode_string(&changed);
            assert_eq!(cursors.read(&changed, &requester), None);
        }
        assert_eq!(cursors.read("", &requester), None);
        assert_eq!(cursors.read(&format!("{sealed}AA"), &requester), None);
    }
}
