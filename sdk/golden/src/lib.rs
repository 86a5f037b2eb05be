//! Golden cases that travel in a component, so that a host can prove in its own engine what the
//! author proved at home.
//!
//! They lie in a custom section `tidegate:golden` at the component's end, as JSON:
//! `{"format": 1, "cases": [{"file": NAME, "text": TEXT}, …]}`. A case is the file as its author
//! wrote it, byte for byte, so that a host can name the line at fault; `tidegate_sdk::testing`
//! documents its form. Cases are sorted by file name, and the same cases give the same bytes.
//! Bounds: 1 MiB of section, 256 cases, 2,000 events in all of them.

mod case;
mod section;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use case::{Case, CaseError, Expected, ExpectedProblem, Finding, Patch, TableRow};

/// The name of the custom section.
pub const SECTION: &str = "tidegate:golden";
/// Bytes of the section's content, at most.
pub const MAX_SECTION_BYTES: usize = 1 << 20;
/// Cases of one component, at most.
pub const MAX_CASES: usize = 256;
/// Events of all cases together, at most.
pub const MAX_EVENTS: usize = 2000;

const FORMAT: u32 = 1;

/// A case as its author wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseFile {
    /// The file's name, without folders.
    pub file: String,
    pub text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    cases: Vec<CaseFile>,
}

/// Why cases cannot be packed, or not be read from a component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GoldenError {
    #[error("this is no component: {0}")]
    NoComponent(&'static str),
    #[error("the section `{SECTION}` comes twice: pack the component again")]
    Twice,
    #[error("the section `{SECTION}` cannot be read: {0}")]
    Content(String),
    #[error("the section `{SECTION}` has format {0}; this program reads format {FORMAT}")]
    Format(u32),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: String },
    #[error("there is no case")]
    NoCase,
    #[error("two cases are called `{0}`")]
    SameName(String),
    #[error("the cases take {bytes} bytes; at most {MAX_SECTION_BYTES} travel with a component")]
    TooLarge { bytes: usize },
    #[error("there are {0} cases; at most {MAX_CASES} travel with a component")]
    ManyCases(usize),
    #[error("the cases have {0} events; at most {MAX_EVENTS} travel with a component")]
    ManyEvents(usize),
    #[error("{file}, line {}: {}", error.line, error.message)]
    Case { file: String, error: CaseError },
}

/// Every `*.json` file of a folder as a case.
///
/// # Errors
/// Where the folder or a file of it cannot be read.
pub fn read_folder(folder: &Path) -> Result<Vec<CaseFile>, GoldenError> {
    let cannot = |path: &Path, error: std::io::Error| GoldenError::File {
        path: path.to_owned(),
        error: error.to_string(),
    };
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| cannot(folder, error))? {
        let path = entry.map_err(|error| cannot(folder, error))?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(&path).map_err(|error| cannot(&path, error))?;
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            cases.push(CaseFile { file, text });
        }
    }
    cases.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(cases)
}

/// The component with these cases, in place of those that it had.
///
/// # Errors
/// Where it is no component, a case is none, or they are beyond the bounds.
pub fn pack(component: &[u8], mut cases: Vec<CaseFile>) -> Result<Vec<u8>, GoldenError> {
    cases.sort_by(|one, other| one.file.cmp(&other.file));
    if let Some(name) = cases.iter().zip(cases.iter().skip(1)).find(|(a, b)| a.file == b.file) {
        return Err(GoldenError::SameName(name.0.file.clone()));
    }
    check(&cases)?;
    let content = serde_json::to_vec(&Content { format: FORMAT, cases })
        .map_err(|error| GoldenError::Content(error.to_string()))?;
    bounded(&content)?;
    let mut out = section::without(component, SECTION)?;
    section::append(&mut out, SECTION, &content);
    Ok(out)
}

/// The cases of a component; `None` where it has no section of them.
///
/// # Errors
/// Where it is no component, the section cannot be read, or is beyond the bounds.
pub fn read(component: &[u8]) -> Result<Option<Vec<CaseFile>>, GoldenError> {
    let mut found = section::find(component, SECTION)?.into_iter();
    let Some(content) = found.next() else { return Ok(None) };
    if found.next().is_some() {
        return Err(GoldenError::Twice);
    }
    bounded(content)?;
    let Content { format, cases } =
        serde_json::from_slice(content).map_err(|error| GoldenError::Content(error.to_string()))?;
    if format != FORMAT {
        return Err(GoldenError::Format(format));
    }
    check(&cases)?;
    Ok(Some(cases))
}

fn bounded(content: &[u8]) -> Result<(), GoldenError> {
    match content.len() {
        0..=MAX_SECTION_BYTES => Ok(()),
        bytes => Err(GoldenError::TooLarge { bytes }),
    }
}

fn check(cases: &[CaseFile]) -> Result<(), GoldenError> {
    if cases.is_empty() {
        return Err(GoldenError::NoCase);
    }
    if cases.len() > MAX_CASES {
        return Err(GoldenError::ManyCases(cases.len()));
    }
    let mut events = 0;
    for CaseFile { file, text } in cases {
        let case =
            Case::parse(text).map_err(|error| GoldenError::Case { file: file.clone(), error })?;
        events += case.events.len();
    }
    if events > MAX_EVENTS { Err(GoldenError::ManyEvents(events)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

    fn case(file: &str, text: &str) -> CaseFile {
        CaseFile { file: file.into(), text: text.into() }
    }

    fn good(file: &str) -> CaseFile {
        case(file, "{\"config\": {},\n \"events\": [{\"a\": 1.50}], \"expect\": {}}\n")
    }

    #[test]
    fn cases_travel_as_they_were_written() {
        let packed = pack(&COMPONENT, vec![good("b.json"), good("a.json")]).expect("packed");
        assert_eq!(read(&packed), Ok(Some(vec![good("a.json"), good("b.json")])));
        assert_eq!(read(&COMPONENT), Ok(None));
        let other_order = pack(&COMPONENT, vec![good("a.json"), good("b.json")]);
        assert_eq!(other_order, Ok(packed.clone()), "the same cases give the same bytes");
    }

    #[test]
    fn packing_again_replaces_the_cases_and_nothing_else() {
        let mut with_others = COMPONENT.to_vec();
        section::append(&mut with_others, "producers", b"us");
        let once = pack(&with_others, vec![good("a.json")]).expect("packed");
        let twice = pack(&once, vec![good("other.json")]).expect("packed");
        assert_eq!(read(&twice), Ok(Some(vec![good("other.json")])));
        assert_eq!(pack(&twice, vec![good("a.json")]), Ok(once.clone()));
        assert_eq!(once.get(..with_others.len()), Some(&*with_others));
    }

    #[test]
    fn what_cannot_be_packed_is_told_with_its_place() {
        let event = "{},".repeat(MAX_EVENTS) + "{}";
        let many = format!("{{\"config\": {{}}, \"events\": [{event}], \"expect\": {{}}}}");
        let large = format!(
            "{{\"config\": {{}}, \"events\": [{{\"a\": \"{}\"}}], \"expect\": {{}}}}",
            "x".repeat(MAX_SECTION_BYTES)
        );
        for (cases, why) in [
            (vec![], "there is no case"),
            (vec![good("a"), good("a")], "two cases are called `a`"),
            (vec![case("a.json", "{\n\n  7}")], "a.json, line 3: "),
            (vec![case("a.json", &many)], "have 2001 events"),
            (vec![case("a.json", &large)], "at most 1048576 travel"),
            ((0..257).map(|at| good(&format!("{at}"))).collect(), "257 cases; at most 256"),
        ] {
            let error = pack(&COMPONENT, cases).expect_err(why).to_string();
            assert!(error.contains(why), "`{error}` does not say `{why}`");
        }
        let module = [0, b'a', b's', b'm', 1, 0, 0, 0];
        assert!(matches!(pack(&module, vec![good("a")]), Err(GoldenError::NoComponent(_))));
    }

    #[test]
    fn a_section_that_somebody_else_wrote_is_refused_with_a_reason() {
        for (content, why) in [
            (&b"nothing"[..], "cannot be read"),
            (b"{\"format\": 2, \"cases\": []}", "has format 2"),
            (b"{\"format\": 1, \"cases\": []}", "no case"),
            (b"{\"format\": 1, \"cases\": [{\"file\": \"a\", \"text\": \"{}\"}]}", "a, line 1: "),
        ] {
            let mut component = COMPONENT.to_vec();
            section::append(&mut component, SECTION, content);
            let error = read(&component).expect_err(why).to_string();
            assert!(error.contains(why), "`{error}` does not say `{why}`");
        }
        let mut twice = pack(&COMPONENT, vec![good("a")]).expect("packed");
        section::append(&mut twice, SECTION, b"{}");
        assert_eq!(read(&twice), Err(GoldenError::Twice));
    }
}
