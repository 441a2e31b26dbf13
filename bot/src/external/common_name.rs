//! The common name of a certificate's subject, by which Kubernetes knows its front proxy. Reads as much DER (X.690) as that needs, of
//! certificates (RFC 5280, 4.1) that TLS has verified already; anything unexpected is no name.

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const VERSION: u8 = 0xa0;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// The last one, as the most specific, where a subject has several.
pub(super) fn common_name(certificate: &[u8]) -> Option<String> {
    let (certificate, _) = expect(SEQUENCE, certificate)?;
    let (mut body, _) = expect(SEQUENCE, certificate)?;
    if body.first() == Some(&VERSION) {
        body = element(body)?.2;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        body = element(body)?.2;
    }
    let (mut names, _) = expect(SEQUENCE, body)?;
    let mut found = None;
    while !names.is_empty() {
        let (mut set, rest) = expect(SET, names)?;
        names = rest;
        while !set.is_empty() {
            let (attribute, rest) = expect(SEQUENCE, set)?;
            set = rest;
            let (kind, value) = expect(OBJECT_ID, attribute)?;
            if kind != COMMON_NAME {
                continue;
            }
            let (tag, text, _) = element(value)?;
            if !matches!(tag, UTF8 | PRINTABLE) {
                return None;
            }
            found = Some(std::str::from_utf8(text).ok()?.to_string());
        }
    }
    found
}

fn expect(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// Tag, content, and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&length, bytes) = bytes.split_first()?;
    let (length, bytes) = match length {
        ..=0x7f => (usize::from(length), bytes),
        // More than four bytes is more than there is.
        0x81..=0x84 => {
            let (digits, bytes) = bytes.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), bytes)
        }
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    fn certificate(names: &[(DnType, DnValue)]) -> Vec<u8> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            parameters.distinguished_name.push(kind.clone(), value.clone());
        }
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_common_name_is_told_from_the_other_names() {
        let organization = (DnType::OrganizationName, DnValue::Utf8String("system:masters".into()));
        let utf8 = (DnType::CommonName, DnValue::Utf8String("front-proxy-client".into()));
        let printable = (DnType::CommonName, DnValue::PrintableString("aggregator".try_into().unwrap()));
        let name = |names: &[(DnType, DnValue)]| common_name(&certificate(names));
        assert_eq!(name(&[organization.clone(), utf8]).as_deref(), Some("front-proxy-client"));
        assert_eq!(name(&[printable, organization.clone()]).as_deref(), Some("aggregator"));
        assert_eq!(name(&[organization]), None);
        assert_eq!(name(&[]), None);
    }

    proptest! {
        #[test]
        fn damaged_certificates_are_read_without_harm(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut bytes = certificate(&[(DnType::CommonName, DnValue::Utf8String("a".into()))]);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len()) + 1);
            let _ = common_name(&bytes);
        }
    }
}
