//! Custom sections at the top of a component: an id, a length, a name, the content. What lies in
//! the other sections is not looked at.

use crate::GoldenError;

/// The magic word, then version 13 of layer 1: a component.
const PREAMBLE: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];
const CUSTOM: u8 = 0;

/// A section with its head.
struct Section<'b> {
    whole: &'b [u8],
    /// Name and content, where it is a custom section.
    custom: Option<(&'b [u8], &'b [u8])>,
}

/// The contents of all custom sections of a name.
pub(crate) fn find<'b>(component: &'b [u8], name: &str) -> Result<Vec<&'b [u8]>, GoldenError> {
    let sections = sections(component)?.into_iter().filter_map(|section| section.custom);
    Ok(sections.filter(|(found, _)| *found == name.as_bytes()).map(|(_, body)| body).collect())
}

/// The component without the custom sections of a name.
pub(crate) fn without(component: &[u8], name: &str) -> Result<Vec<u8>, GoldenError> {
    let mut out = PREAMBLE.to_vec();
    for section in sections(component)? {
        if section.custom.is_none_or(|(found, _)| found != name.as_bytes()) {
            out.extend_from_slice(section.whole);
        }
    }
    Ok(out)
}

/// Adds a custom section at the end. Its name is short, and its content below 4 GiB.
pub(crate) fn append(out: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut body = Vec::with_capacity(content.len() + name.len() + 8);
    write_u32(&mut body, name.len());
    body.extend_from_slice(name.as_bytes());
    body.extend_from_slice(content);
    out.push(CUSTOM);
    write_u32(out, body.len());
    out.extend_from_slice(&body);
}

fn sections(component: &[u8]) -> Result<Vec<Section<'_>>, GoldenError> {
    let mut rest = component
        .strip_prefix(&PREAMBLE)
        .ok_or(GoldenError::NoComponent("it does not begin as one"))?;
    let mut out = Vec::new();
    while let Some((id, after_id)) = rest.split_first() {
        let cut = GoldenError::NoComponent("it ends in the middle of a section");
        let (length, after_length) = read_u32(after_id).ok_or(cut.clone())?;
        let (body, next) = after_length.split_at_checked(length).ok_or(cut.clone())?;
        let whole = rest.get(..rest.len() - next.len()).ok_or(cut)?;
        let custom = (*id == CUSTOM).then(|| {
            let (length, name) = read_u32(body)?;
            name.split_at_checked(length)
        });
        out.push(Section { whole, custom: custom.flatten() });
        rest = next;
    }
    Ok(out)
}

/// An unsigned number in LEB128, at most 32 bits of it, and what follows.
fn read_u32(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, bytes.get(at + 1..)?));
        }
    }
    None
}

fn write_u32(out: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        out.push(0x80 | (value & 0x7f) as u8);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        for value in [0, 1, 127, 128, 300, 1 << 20, u32::MAX as usize] {
            let mut bytes = Vec::new();
            write_u32(&mut bytes, value);
            bytes.push(9);
            assert_eq!(read_u32(&bytes), Some((value, &[9u8][..])));
        }
        for bad in [&[][..], &[0x80], &[0xff; 5], &[0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(read_u32(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_cut_off_is_no_component() {
        let mut component = PREAMBLE.to_vec();
        append(&mut component, "name", b"content");
        for end in 0..component.len() {
            let cut = component.get(..end).expect("shorter");
            assert_eq!(sections(cut).is_ok(), end == PREAMBLE.len(), "{end}");
        }
        assert_eq!(find(&component, "name"), Ok(vec![&b"content"[..]]));
    }
}
