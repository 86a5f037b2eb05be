//! The cache of compiled code, and compilers that fail.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tidegate_plugin_host::compile::{CacheError, ChildError, CompileOptions};
use tidegate_plugin_host::host::HostError;
use tidegate_plugin_host::{CompileError, HostOptions, PluginHost};
use tidegate_types::Digest;

use crate::support::{compiling, limits};

const HOSTILE: Bytes = Bytes::from_static(tidegate_guests::HOSTILE);

pub(crate) fn host_with(compile: CompileOptions) -> PluginHost {
    PluginHost::new(HostOptions { compile, limits: limits(), workers: 1 }).expect("the host starts")
}

/// The one file of compiled code in a folder.
pub(crate) fn code_file(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("the folder of compiled code");
    let mut files = entries.map(|entry| entry.expect("an entry").path());
    files
        .find(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .expect("compiled code")
}

#[tokio::test]
async fn the_second_time_no_compiler_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("compiled");
    let first =
        host_with(compiling("compile", &cache)).compile(HOSTILE).await.expect("it compiles");
    assert!(first.compile_time > Duration::ZERO && first.code_bytes > 0);
    // A new host, whose compiler does not work.
    let second =
        host_with(compiling("abort", &cache)).compile(HOSTILE).await.expect("from the cache");
    assert_eq!((second.compile_time, second.code_bytes), (Duration::ZERO, first.code_bytes));
    assert_eq!(second.exports, ["tidegate:rules/rules@1.0.0"]);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(
        (mode(&cache), mode(&code_file(&cache)), mode(&cache.join("mac-key"))),
        (0o700, 0o600, 0o600)
    );
}

/// Damage anywhere, in the MAC or in the code, is found; the code is made again, never loaded.
#[tokio::test]
async fn damaged_code_is_compiled_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("compiled");
    let host = host_with(compiling("compile", &cache));
    host.compile(HOSTILE).await.expect("it compiles");
    let file = code_file(&cache);
    let good = fs::read(&file).expect("compiled code");
    let last = good.len() - 1;
    let mut damages: Vec<Vec<u8>> = [0, 31, 32, 100, last / 2, last]
        .map(|at| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        })
        .into();
    damages.extend([
        vec![],
        good[..20].to_vec(),
        good[..last].to_vec(),
        [&good[..], b"x"].concat(),
    ]);
    for (place, damaged) in damages.into_iter().enumerate() {
        fs::write(&file, damaged).expect("the file can be written");
        let error = host_with(compiling("abort", &cache))
            .compile(HOSTILE)
            .await
            .expect_err("it must be compiled");
        assert!(
            matches!(error, CompileError::Child(ChildError::Ended(_))),
            "damage {place}: {error}"
        );
        fs::write(&file, &good).expect("the file can be written");
    }
    fs::write(&file, &good[..last]).expect("the file can be written");
    assert!(host.compile(HOSTILE).await.expect("again").compile_time > Duration::ZERO);
    assert_eq!(fs::read(&file).expect("compiled code").len(), good.len());
}

/// Code of one component under the name of another, or of another gateway, is not taken.
#[tokio::test]
async fn code_is_bound_to_its_name_and_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (folder.path().join("ours"), folder.path().join("theirs"));
    host_with(compiling("compile", &ours)).compile(HOSTILE).await.expect("it compiles");
    let other =
        Bytes::from_static(tidegate_plugins::find("required").expect("it is built in").component);
    host_with(compiling("compile", &theirs)).compile(other.clone()).await.expect("it compiles");
    let name = code_file(&theirs).file_name().expect("a name").to_owned();
    fs::copy(code_file(&ours), ours.join(&name)).expect("a copy");
    let error = host_with(compiling("abort", &ours))
        .compile(other.clone())
        .await
        .expect_err("another name");
    assert!(matches!(error, CompileError::Child(ChildError::Ended(_))), "{error}");
    fs::copy(theirs.join(&name), ours.join(&name)).expect("a copy");
    let error = host_with(compiling("abort", &ours)).compile(other).await.expect_err("another key");
    assert!(matches!(error, CompileError::Child(ChildError::Ended(_))), "{error}");
}

/// P2: a new version of the engine finds a cache full of the old one's code: that code is neither
/// loaded nor touched, and each component is compiled again before it is used.
#[tokio::test]
async fn code_of_another_engine_is_not_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("compiled");
    host_with(compiling("compile", &cache)).compile(HOSTILE).await.expect("it compiles");
    let ours = code_file(&cache);
    let name = ours.file_name().and_then(|name| name.to_str()).expect("a name");
    let (digest, _) = name.rsplit_once('-').expect("digest and engine");
    let theirs = cache.join(format!("{digest}-0123456789abcdef.cwasm"));
    fs::rename(&ours, &theirs).expect("our folder");
    let before = fs::read(&theirs).expect("compiled code");
    let error =
        host_with(compiling("abort", &cache)).compile(HOSTILE).await.expect_err("not loaded");
    assert!(matches!(error, CompileError::Child(ChildError::Ended(_))), "{error}");
    let again = host_with(compiling("compile", &cache)).compile(HOSTILE).await.expect("compiled");
    assert!(again.compile_time > Duration::ZERO);
    assert_eq!(fs::read(&theirs).expect("left alone"), before);
}

/// P2: without the key, or with a damaged one, no code can be trusted: a new key is made, and all
/// is compiled again.
#[tokio::test]
async fn without_its_key_code_is_compiled_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("compiled");
    let key = cache.join("mac-key");
    host_with(compiling("compile", &cache)).compile(HOSTILE).await.expect("it compiles");
    let damages: [fn(&Path); 3] = [
        |key| fs::remove_file(key).expect("our file"),
        |key| fs::write(key, b"short").expect("our file"),
        |key| fs::write(key, [7; 32]).expect("our file"),
    ];
    for damage in damages {
        damage(&key);
        let host = host_with(compiling("compile", &cache));
        assert_eq!(fs::read(&key).expect("a key").len(), 32);
        let compiled = host.compile(HOSTILE).await.expect("compiled again");
        assert!(compiled.compile_time > Duration::ZERO);
        let loaded = host_with(compiling("abort", &cache)).compile(HOSTILE).await;
        assert_eq!(loaded.expect("from the cache").compile_time, Duration::ZERO);
    }
}

/// P2: bytes that are not those that the revision names are not compiled, let alone run.
#[tokio::test]
async fn another_component_than_the_named_one_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("compiled");
    let host = host_with(compiling("compile", &cache));
    let named = Digest::of(&HOSTILE);
    let mut damaged = HOSTILE.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let error = host.compile_as(named, damaged.into()).await.expect_err("another digest");
    assert!(
        matches!(&error, CompileError::Digest { wanted, found } if *wanted == named && *found != named),
        "{error}"
    );
    assert!(fs::read_dir(&cache).expect("the folder").all(|entry| {
        entry.expect("an entry").path().extension().is_none_or(|ending| ending != "cwasm")
    }));
    host.compile_as(named, HOSTILE).await.expect("the named one");
}

#[test]
fn a_folder_that_is_open_to_others_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for mode in [0o755, 0o710, 0o702] {
        let cache = folder.path().join(format!("{mode:o}"));
        fs::create_dir(&cache).expect("a folder");
        fs::set_permissions(&cache, fs::Permissions::from_mode(mode)).expect("it is ours");
        let options =
            HostOptions { compile: compiling("compile", &cache), limits: limits(), workers: 1 };
        let error = PluginHost::new(options).expect_err("the folder is open");
        assert!(matches!(error, HostError::Cache(CacheError::Open(_))), "{error}");
        assert!(error.to_string().contains("chmod 700"), "{error}");
    }
}

/// Two that compile one component at once both get it, and it is compiled once.
#[tokio::test]
async fn a_component_is_compiled_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = host_with(compiling("compile", &folder.path().join("compiled")));
    let (first, second) = tokio::join!(host.compile(HOSTILE), host.compile(HOSTILE));
    let times = [first.expect("compiled").compile_time, second.expect("compiled").compile_time];
    assert_eq!(times.iter().filter(|time| **time > Duration::ZERO).count(), 1);
}

/// A component whose compilation takes seconds: many functions, none of them large.
fn slow_component() -> Vec<u8> {
    let step = "local.get 0 i32.const 3 i32.mul i32.const 1 i32.add local.tee 0 i32.load drop ";
    let function = format!("(func (param i32) {})", step.repeat(30));
    let text = format!("(component (core module (memory 1) {}))", function.repeat(8000));
    wat::parse_str(text).expect("a component as text")
}

#[tokio::test]
async fn compilers_that_fail_are_contained() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = |how: &str| compiling(how, &folder.path().join(how));
    let absent = CompileOptions { command: vec!["/nowhere/compile".into()], ..options("absent") };
    let impatient = CompileOptions { wall: Duration::from_millis(300), ..options("hang") };
    let slow = CompileOptions { cpu_seconds: 1, component_bytes: 64 << 20, ..options("slow") };
    let slow = CompileOptions { command: options("compile").command, ..slow };
    let small = CompileOptions {
        command: options("compile").command,
        memory_bytes: 150 << 20,
        component_bytes: 64 << 20,
        ..options("small")
    };
    type Expected = fn(&ChildError) -> bool;
    let cases: [(&str, CompileOptions, Bytes, Expected); 9] = [
        ("crashes", options("abort"), HOSTILE, |error| matches!(error, ChildError::Ended(_))),
        ("panics", options("panic"), HOSTILE, |error| matches!(error, ChildError::Ended(_))),
        ("fails without a word", options("silent"), HOSTILE, |error| {
            matches!(error, ChildError::Ended(_))
        }),
        ("hangs", impatient, HOSTILE, |error| matches!(error, ChildError::Timeout(_))),
        ("floods", options("flood"), HOSTILE, |error| matches!(error, ChildError::LargeCode(_))),
        ("is not there", absent, HOSTILE, |error| matches!(error, ChildError::Unavailable(_))),
        ("takes too long", slow, slow_component().into(), |error| {
            matches!(error, ChildError::Ended(_))
        }),
        ("takes too much memory", small, slow_component().into(), |error| {
            matches!(error, ChildError::Ended(_))
        }),
        ("takes no such component", options("compile"), invalid(), |error| {
            matches!(error, ChildError::Refused(_))
        }),
    ];
    for (what, options, component, expected) in cases {
        let error = host_with(options).compile(component).await.expect_err(what);
        let CompileError::Child(error) = error else { panic!("a compiler that {what}: {error}") };
        assert!(expected(&error), "a compiler that {what}: {error}");
    }
    let error = host_with(options("garbage")).compile(HOSTILE).await.expect_err("no code");
    assert!(matches!(error, CompileError::Cache(CacheError::Vanished)), "{error}");
}

fn invalid() -> Bytes {
    wat::parse_str("(component (core module (func (result i32) i64.const 1)))")
        .expect("a component as text")
        .into()
}
