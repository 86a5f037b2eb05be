//! What PostgreSQL alone does: connections that are lost, a database that is down, content that is
//! fetched, URLs that cannot be used.

use std::time::{Duration, Instant};

use tidegate_catalog::{Catalog, CatalogError, DatabaseOptions, Limits};
use tidegate_testkit::Postgres;
use tidegate_testkit::postgres::shared;
use tidegate_types::Digest;

use crate::fleet::{NEVER, hear};
use crate::keys::new_key;
use crate::place::{Place, name, tenant};

/// Ends all sessions of the database but the one that asks.
fn cut(place: &Place) {
    place.sql(
        "",
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
}

#[test]
fn a_connection_that_was_ended_is_made_anew() {
    let place = Place::postgres();
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    for turn in 1..=3 {
        cut(&place);
        let text = format!("{{\"title\":\"{turn}\"}}");
        let schema = catalog.put_schema(&acme, &name("one"), text.as_bytes()).unwrap();
        assert_eq!(schema.into_inner().version, turn);
        cut(&place);
        assert_eq!(catalog.tenant_count().unwrap(), 1);
    }
}

/// Sessions are ended at random moments: each write is made or fails with a word of what to do, and
/// the numbers have no gap.
#[test]
fn writes_whose_connection_is_ended_meanwhile_are_made_or_not() {
    let place = Place::postgres();
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let (mut made, mut failed) = (0u64, 0u64);
    std::thread::scope(|scope| {
        let cutting = scope.spawn(|| (0..20).for_each(|_| cut(&place)));
        let mut turn = 0;
        while !cutting.is_finished() {
            turn += 1;
            let text = format!("{{\"title\":\"{turn}\"}}");
            match catalog.put_schema(&acme, &name("one"), text.as_bytes()) {
                Ok(_) => made += 1,
                Err(error) => {
                    failed += 1;
                    assert!(error.is_unavailable(), "{error:?}");
                }
            }
        }
    });
    let stored = catalog.schema(&acme, &name("one"), &tidegate_catalog::Selector::Latest).unwrap();
    // One that failed at its commit may have been made.
    assert!((made..=made + failed).contains(&stored.version), "{made} {failed} {stored:?}");
    assert!(made > 0);
}

#[test]
fn a_database_that_is_down_is_told_soon_and_found_again() {
    let server = Postgres::start();
    let folder = tempfile::tempdir().unwrap();
    let url = server.create_database();
    let options = DatabaseOptions { url, ..DatabaseOptions::default() };
    let catalog = Catalog::open_with(folder.path(), Limits::default(), &options).unwrap();
    let acme = tenant(&catalog, "acme");
    let schema = catalog.put_schema(&acme, &name("one"), b"{}").unwrap().into_inner();

    let watch = catalog.watch(NEVER).unwrap();

    server.pause();
    let problem = hear(&watch, |heard| heard.problem.is_some()).problem.unwrap_or_default();
    assert!(problem.contains("PostgreSQL at") && !problem.contains(server.password()), "{problem}");
    for _ in 0..5 {
        let asked = Instant::now();
        let error = catalog.tenant(&acme).unwrap_err();
        assert!(error.is_unavailable(), "{error:?}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        let CatalogError::Database(cause) = error else { panic!("{error:?}") };
        let text = format!("{cause} {cause:?}");
        assert!(text.contains("PostgreSQL at 127.0.0.1:"), "{text}");
        assert!(!text.contains(server.password()), "{text}");
    }
    // Content that has been here is here.
    assert_eq!(catalog.content(&schema.digest).unwrap(), b"{}");
    let unopened = Catalog::open_with(folder.path(), Limits::default(), &options);
    assert!(unopened.is_err_and(|error| error.is_unavailable()));

    server.resume();
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = catalog.tenant(&acme) {
        assert!(error.is_unavailable() && Instant::now() < deadline, "{error:?}");
        std::thread::yield_now();
    }
    hear(&watch, |heard| heard.problem.is_none());
}

/// Polling is an hour apart: it was the notification.
#[test]
fn a_change_of_one_node_is_told_to_the_others() {
    let place = Place::postgres();
    let (writer, reader) = (place.node("a"), place.node("b"));
    let acme = tenant(&writer, "acme");
    let watches: Vec<_> = (0..3).map(|_| reader.watch(NEVER).unwrap()).collect();
    for _ in 0..10 {
        writer.create_key(&acme, "live", new_key()).unwrap();
        let version = writer.version().unwrap();
        for watch in &watches {
            assert_eq!(hear(watch, |heard| heard.version >= version).version, version);
        }
    }
}

/// D2: what other programs write into `api_keys` is told as well; the time of a last use is not.
#[test]
fn rows_of_other_programs_are_told() {
    let place = Place::postgres();
    let (writer, reader) = (place.node("a"), place.node("b"));
    let acme = tenant(&writer, "acme");
    let watch = reader.watch(NEVER).unwrap();
    let url = place.options().url;
    let hash = Digest::of(b"old key").hex();
    for (sql, is_told) in [
        (
            format!(
                "INSERT INTO api_keys (id, key_hash, tenant_id, name, scopes, created_at) \
                 VALUES ('old', '\\x{hash}', '{acme}', 'old', 'events:write', 0)"
            ),
            true,
        ),
        ("UPDATE api_keys SET last_used_at = 5 WHERE id = 'old'".to_owned(), false),
        ("UPDATE api_keys SET is_active = 0 WHERE id = 'old'".to_owned(), true),
        ("DELETE FROM api_keys WHERE id = 'old'".to_owned(), true),
    ] {
        let before = reader.version().unwrap();
        assert_eq!(shared().sql(&url, &sql), "");
        let after = reader.version().unwrap();
        assert_eq!(after > before, is_told, "{sql}");
        hear(&watch, |heard| heard.version >= after);
    }
}

/// What is written while nobody listens is heard as soon as the listener is back.
#[test]
fn a_listener_whose_connection_was_ended_misses_nothing() {
    let place = Place::postgres();
    let (writer, reader) = (place.node("a"), place.node("b"));
    let acme = tenant(&writer, "acme");
    let watch = reader.watch(NEVER).unwrap();
    for _ in 0..10 {
        cut(&place);
        writer.create_key(&acme, "live", new_key()).unwrap();
        let version = writer.version().unwrap();
        hear(&watch, |heard| heard.version >= version);
    }
    // And it goes on being told.
    writer.create_key(&acme, "live", new_key()).unwrap();
    let version = writer.version().unwrap();
    hear(&watch, |heard| heard.version >= version && heard.problem.is_none());
}

#[test]
fn a_watch_that_was_dropped_has_no_connection() {
    let place = Place::postgres();
    let catalog = place.open();
    let url = place.options().url;
    let sessions = || {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND pid <> pg_backend_pid()";
        shared().sql(&url, count)
    };
    assert_eq!(sessions(), "1");
    let watch = catalog.watch(NEVER).unwrap();
    assert_eq!(sessions(), "2");
    drop(watch);
    let deadline = Instant::now() + Duration::from_secs(60);
    while sessions() != "1" {
        assert!(Instant::now() < deadline, "the connection stays open");
    }
}

#[test]
fn files_that_are_missing_or_damaged_are_fetched_anew() {
    let place = Place::postgres();
    let (writer, reader) = (place.node("a"), place.node("b"));
    let acme = tenant(&writer, "acme");
    let large = vec![b'x'; 3 << 20];
    let stored = writer.submit_component(&acme, &name("large"), &large).unwrap().into_inner();
    let digest = stored.0.digest;
    let file = place.node_folder("b").join("blobs").join(digest.hex());
    assert!(!file.exists());
    assert_eq!(reader.content(&digest).unwrap(), large);
    for damage in [&b"other"[..], b""] {
        assert_eq!(std::fs::read(&file).unwrap(), large);
        std::fs::write(&file, damage).unwrap();
        assert_eq!(reader.content(&digest).unwrap(), large);
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(reader.content(&digest).unwrap(), large);
    // What the database has lost is there again once somebody stores it.
    place.sql("", "DELETE FROM blobs");
    writer.submit_component(&acme, &name("again"), &large).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(reader.content(&digest).unwrap(), large);
}

/// A node that stands still within a transaction holds up the others for a bounded time.
#[test]
fn a_lock_that_is_held_too_long_is_told() {
    let place = Place::postgres();
    let mut options = place.options();
    options.statement_timeout = Duration::from_millis(300);
    let folder = place.node_folder("a");
    let catalog = Catalog::open_with(&folder, Limits::default(), &options).unwrap();
    let acme = tenant(&catalog, "acme");
    let url = place.options().url;
    // The lock that writers take.
    let slow =
        format!("SELECT pg_advisory_lock({}); SELECT pg_sleep(600)", 0x7469_6465_6761_7465i64);
    std::thread::scope(|scope| {
        let holder = scope.spawn(|| shared().try_sql(&url, &slow));
        let holds = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted";
        while shared().sql(&url, holds) == "0" {
            std::thread::yield_now();
        }
        let error = catalog.put_schema(&acme, &name("one"), b"{}").unwrap_err();
        assert!(error.is_unavailable(), "{error:?}");
        assert_eq!(catalog.tenant_count().unwrap(), 1, "reads go on");
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE \
                   '%pg_sleep(600)' AND datname = current_database()";
        drop(shared().sql(&url, end));
        assert!(!holder.join().unwrap());
    });
    catalog.put_schema(&acme, &name("one"), b"{}").unwrap();
}

#[test]
fn urls_that_cannot_be_used_are_told_without_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let good = shared().create_database();
    let wrong_password = good.replace(shared().password(), "wrong-s3cr3t");
    for (url, part) in [
        ("mysql://u:wrong-s3cr3t@127.0.0.1/x".to_owned(), "no known database"),
        ("postgres://u:wrong-s3cr3t@127.0.0.1:x/y".to_owned(), "cannot be read"),
        (format!("{good}?sslmode=require&application_name=wrong-s3cr3t"), "TLS"),
        (wrong_password, "password authentication failed"),
        ("postgres://u:wrong-s3cr3t@127.0.0.1:1/x".to_owned(), "cannot be used"),
    ] {
        let options = DatabaseOptions { url: url.clone(), ..DatabaseOptions::default() };
        assert!(!format!("{options:?}").contains("s3cr3t"));
        let refused = Catalog::open_with(folder.path(), Limits::default(), &options);
        let error = refused.map(drop).unwrap_err();
        let mut text = format!("{error} {error:?}");
        if let CatalogError::Database(cause) = &error {
            text.push_str(&cause.to_string());
        }
        assert!(text.contains(part), "{text} lacks {part}");
        assert!(!text.contains("wrong-s3cr3t"), "{text}");
    }
}

/// A catalog may be let go on a thread that serves other tasks.
#[tokio::test]
async fn a_catalog_is_opened_used_and_dropped_within_a_runtime() {
    let place = Place::postgres();
    let catalog = place.open();
    tenant(&catalog, "acme");
    drop(catalog);
    assert_eq!(place.open().tenant_count().unwrap(), 1);
}
