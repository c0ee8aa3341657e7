//! Published vectors against the two functions under every signature: RFC 4231, RFC 8032, and
//! Project Wycheproof's collections of implementation errors.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

use signoff_verifier::{ed25519, mac};
use wycheproof::{TestResult, eddsa, mac as macs};

/// RFC 4231, section 4: key, data, HMAC-SHA-256. Case 5 has a truncated tag.
fn rfc4231() -> Vec<(Vec<u8>, Vec<u8>, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let counted: Vec<u8> = (1..=25).collect();
    vec![
        (
            vec![0x0b; 20],
            text("Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            text("Jefe"),
            text("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            vec![0xaa; 20],
            vec![0xdd; 50],
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
        ),
        (
            counted,
            vec![0xcd; 50],
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
        (vec![0x0c; 20], text("Test With Truncation"), "a3b6167473100ee06e0c796c2955552b"),
        (
            vec![0xaa; 131],
            text("Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            vec![0xaa; 131],
            text(
                "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm.",
            ),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ]
}

/// RFC 8032, section 7.1: seed, public key, message, signature.
const RFC8032: [[&str; 4]; 4] = [
    [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ],
    [
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ],
    [
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ],
    [
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ],
];

#[test]
fn hmac_is_that_of_rfc_4231() {
    for (key, data, expected) in rfc4231() {
        let expected = hex::decode(expected).unwrap();
        let code = mac::sign(&key, &data).unwrap();
        assert_eq!(code[..expected.len()], expected);
        assert!(mac::verify(&key, &data, &code));
        for shorter in 0..code.len() {
            assert!(!mac::verify(&key, &data, &code[..shorter]), "{shorter} bytes of a code");
        }
    }
}

#[test]
fn ed25519_is_that_of_rfc_8032() {
    for [seed, public_key, message, signature] in RFC8032 {
        let seed: [u8; 32] = array(seed);
        let public_key: [u8; 32] = array(public_key);
        let message = hex::decode(message).unwrap();
        let signature: [u8; 64] = array(signature);
        assert_eq!(ed25519::public_key(&seed), public_key);
        assert_eq!(ed25519::sign(&seed, &message), signature);
        assert!(ed25519::verify(&public_key, &message, &signature));
    }
}

#[test]
fn every_bit_of_an_ed25519_signature_counts() {
    for [_, public_key, message, signature] in RFC8032 {
        let (public_key, message) = (array(public_key), hex::decode(message).unwrap());
        for bit in 0..512 {
            let mut wrong: [u8; 64] = array(signature);
            wrong[bit / 8] ^= 1 << (bit % 8);
            assert!(!ed25519::verify(&public_key, &message, &wrong), "bit {bit}");
        }
    }
}

#[test]
fn wycheproof_of_hmac_sha256() {
    let set = macs::TestSet::load(macs::TestName::HmacSha256).unwrap();
    let (mut accepted, mut refused, mut shortened) = (0, 0, 0);
    for group in set.test_groups {
        for test in group.tests {
            let holds = mac::verify(&test.key, &test.msg, &test.tag);
            // Tags of 128 bits are valid HMAC, but not valid signatures here.
            let whole = group.tag_size == 256;
            shortened += u32::from(!whole);
            match test.result {
                TestResult::Valid => assert_eq!(holds, whole, "{test:?}"),
                TestResult::Invalid => assert!(!holds, "{test:?}"),
                TestResult::Acceptable => panic!("none was acceptable: {test:?}"),
            }
            accepted += u32::from(holds);
            refused += u32::from(!holds);
        }
    }
    assert!(accepted > 30 && refused > 100 && shortened > 80, "{accepted} {refused} {shortened}");
}

#[test]
fn wycheproof_of_ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for group in set.test_groups {
        let public_key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        for test in group.tests {
            // Another length is refused before verification.
            let signature: Result<[u8; 64], _> = test.sig.as_slice().try_into();
            let holds = signature.is_ok_and(|sig| ed25519::verify(&public_key, &test.msg, &sig));
            match test.result {
                TestResult::Valid => assert!(holds, "{test:?}"),
                TestResult::Invalid => assert!(!holds, "{test:?}"),
                TestResult::Acceptable => panic!("none was acceptable: {test:?}"),
            }
            accepted += u32::from(holds);
            refused += u32::from(!holds);
        }
    }
    assert!(accepted > 60 && refused > 40, "{accepted} {refused}");
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}
