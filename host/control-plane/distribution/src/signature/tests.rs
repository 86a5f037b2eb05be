//! Signatures against the vectors of RFC 8032 and RFC 8410, and the policies as a table.

use super::*;

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let bytes: Vec<u8> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    bytes.try_into().unwrap()
}

/// RFC 8032, section 7.1: public key, message, signature of tests 1 to 3.
const VECTORS: [(&str, &str, &str); 3] = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
];

#[test]
fn signatures_of_the_standard_are_taken_and_altered_ones_are_not() {
    for (key, message, signature) in VECTORS {
        let key = PublicKey::from_bytes(hex(key)).unwrap();
        let message = (0..message.len() / 2)
            .map(|at| u8::from_str_radix(&message[2 * at..2 * at + 2], 16).unwrap())
            .collect::<Vec<u8>>();
        let bytes: [u8; 64] = hex(signature);
        assert!(key.has_signed(&message, &Signature::from_bytes(bytes)));
        for at in [0, 31, 32, 63] {
            let mut altered = bytes;
            altered[at] ^= 1;
            assert!(!key.has_signed(&message, &Signature::from_bytes(altered)), "byte {at}");
        }
        assert!(
            !key.has_signed(&[message.as_slice(), b"!"].concat(), &Signature::from_bytes(bytes))
        );
    }
}

#[test]
fn a_signature_has_one_form_only() {
    // The group's order, little endian: added to a signature's second half it gives another text
    // that lenient checks take.
    let order: [u8; 32] = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let (key, _, signature) = VECTORS[0];
    let mut bytes: [u8; 64] = hex(signature);
    let mut carry = 0u16;
    for (byte, add) in bytes[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
    let key = PublicKey::from_bytes(hex(key)).unwrap();
    assert!(!key.has_signed(b"", &Signature::from_bytes(bytes)));
}

#[test]
fn key_files_are_those_of_the_standard() {
    // RFC 8410, sections 10.1 and 10.3.
    let public = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PUBLIC KEY-----\n";
    let secret = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        -----END PRIVATE KEY-----\n";
    let key: PublicKey = public.parse().unwrap();
    assert_eq!(key.to_pem(), public);
    let signer: SecretKey = secret.parse().unwrap();
    assert_eq!(signer.to_pem(), secret);
    assert_eq!(signer.public(), key);
    let raw = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
    assert_eq!(raw.parse::<PublicKey>().unwrap(), key);
    assert_eq!(key.id().to_string().parse::<KeyId>().unwrap(), key.id());
    assert!(!format!("{signer:?}").contains("d4ee"));

    let swapped = secret.replace("PRIVATE", "PUBLIC");
    let long = " ".repeat(5000);
    for bad in ["", "AAAA", secret, &swapped, &public[1..], &long] {
        assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
    }
    for bad in ["", raw, public, &secret.replace("MC4C", "MC5C"), &secret.replace("VhC", "Vh")] {
        assert!(bad.parse::<SecretKey>().is_err(), "{bad}");
    }
    let weak = format!("{}=", "A".repeat(43));
    assert_eq!(weak.parse::<PublicKey>(), Err(InvalidKey::Weak));
    let id = key.id().to_string();
    for bad in ["", "abc", &id.to_uppercase(), &id[1..]] {
        assert!(bad.parse::<KeyId>().is_err(), "{bad}");
    }
}

/// What a row of the table signs with.
enum Signed {
    Not,
    By(usize),
    OtherBytes(usize),
}

/// A policy, the keys that are registered, what is signed, and the key that is found.
type Row<'a> = (&'a SignaturePolicy, &'a [usize], Signed, Result<Option<usize>, SignatureError>);

#[test]
fn policies() {
    use SignatureError as Fails;
    let keys: Vec<SecretKey> = (0..3).map(|_| SecretKey::generate().unwrap()).collect();
    let id = |at: usize| keys[at].public().id();
    let this = |at: usize| SignaturePolicy::ThisKey { key: id(at) };
    let (none, any) = (SignaturePolicy::None, SignaturePolicy::AnyKnownKey);
    let rows: [Row<'_>; 15] = [
        (&none, &[], Signed::Not, Ok(None)),
        (&none, &[], Signed::By(0), Ok(None)),
        (&none, &[0, 1], Signed::By(1), Ok(Some(1))),
        (&none, &[0], Signed::OtherBytes(0), Ok(None)),
        (&any, &[], Signed::By(0), Err(Fails::NoKeys)),
        (&any, &[0], Signed::Not, Err(Fails::Missing)),
        (&any, &[0, 1], Signed::By(0), Ok(Some(0))),
        (&any, &[0, 1], Signed::By(1), Ok(Some(1))),
        (&any, &[0, 1], Signed::By(2), Err(Fails::ByNoKnownKey(2))),
        (&any, &[0, 1], Signed::OtherBytes(0), Err(Fails::ByNoKnownKey(2))),
        (&this(1), &[0, 1], Signed::By(1), Ok(Some(1))),
        (&this(1), &[0, 1], Signed::By(0), Err(Fails::NotByThisKey(id(1)))),
        (&this(1), &[0, 1], Signed::OtherBytes(1), Err(Fails::NotByThisKey(id(1)))),
        (&this(1), &[0, 1], Signed::Not, Err(Fails::Missing)),
        (&this(2), &[0, 1], Signed::By(2), Err(Fails::KeyNotRegistered(id(2)))),
    ];
    for (row, (policy, known, signed, expected)) in rows.into_iter().enumerate() {
        let known: Vec<PublicKey> = known.iter().map(|at| keys[*at].public()).collect();
        let signature = match signed {
            Signed::Not => None,
            Signed::By(at) => Some(keys[at].sign(b"component")),
            Signed::OtherBytes(at) => Some(keys[at].sign(b"another")),
        };
        let found = verify(policy, &known, b"component", signature.as_ref());
        assert_eq!(found, expected.map(|at| at.map(id)), "row {row}");
    }
}

#[test]
fn policies_are_written_as_json() {
    let id = "00112233445566778899aabbccddeeff";
    for (text, policy) in [
        (r#"{"policy":"none"}"#.to_owned(), SignaturePolicy::None),
        (r#"{"policy":"any-known-key"}"#.to_owned(), SignaturePolicy::AnyKnownKey),
        (
            format!(r#"{{"policy":"this-key","key":"{id}"}}"#),
            SignaturePolicy::ThisKey { key: id.parse().unwrap() },
        ),
    ] {
        assert_eq!(serde_json::from_str::<SignaturePolicy>(&text).unwrap(), policy);
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
    }
    for bad in
        [r#"{"policy":"some"}"#, r#"{"policy":"this-key"}"#, r#"{"policy":"this-key","key":"x"}"#]
    {
        assert!(serde_json::from_str::<SignaturePolicy>(bad).is_err(), "{bad}");
    }
}
