//! The files of a checkout, read once, so that rules are functions over plain data.

use std::path::Path;

/// The largest file that is read as text; longer ones are data.
const LARGEST_TEXT: u64 = 4 * 1024 * 1024;

/// Folders of build results, of the version control and of fetched packages.
const SKIPPED: [&str; 4] = ["target", ".git", "node_modules", "__pycache__"];

/// One file.
#[derive(Clone, Debug)]
pub struct File {
    /// From the top folder, with `/`.
    pub path: String,
    /// Empty where the file is not UTF-8 text.
    pub text: String,
}

/// All files of a checkout.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    /// Reads the checkout whose top folder is `root`.
    ///
    /// # Errors
    /// Where a folder or file cannot be read.
    pub fn read(root: &Path) -> std::io::Result<Self> {
        let mut tree = Self::default();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                let path =
                    if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                let kind = entry.file_type()?;
                if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                } else if kind.is_file() {
                    let is_text = entry.metadata()?.len() <= LARGEST_TEXT;
                    let bytes = if is_text { std::fs::read(entry.path())? } else { Vec::new() };
                    tree.files
                        .push(File { path, text: String::from_utf8(bytes).unwrap_or_default() });
                }
            }
        }
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    /// A made-up tree of paths and texts.
    #[must_use]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file =
            |(path, text): &(&str, &str)| File { path: (*path).into(), text: (*text).into() };
        Self { files: files.iter().map(file).collect() }
    }

    /// The Rust sources.
    pub fn sources(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The text of one file.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.iter().find(|file| file.path == path).map(|file| file.text.as_str())
    }
}

/// The folder of a path; empty for the top folder.
#[must_use]
pub fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_files_and_skips_what_is_built() {
        let root = std::env::temp_dir().join(format!("tidy-tree-{}", std::process::id()));
        for (path, bytes) in [
            ("a.rs", b"//! A.".as_slice()),
            ("deep/er/b.rs", b"//! B."),
            ("data.bin", &[0xff, 0xfe]),
            ("target/debug/c.rs", b"C"),
            (".git/d.rs", b"D"),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let tree = Tree::read(&root).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        let paths: Vec<&str> = tree.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a.rs", "data.bin", "deep/er/b.rs"]);
        assert_eq!(tree.text("deep/er/b.rs"), Some("//! B."));
        assert_eq!(tree.text("data.bin"), Some(""));
        assert_eq!(tree.sources().count(), 2);
    }
}
