//! Where keys come from: fetched once however many ask, kept while the source is down, given up when
//! they are too old, and changed when the issuer changes them.

use std::time::{Duration, Instant};

use tidegate_identity::{Bounds, IssuerOptions, Issuers, KeySource, Refusal};
use tidegate_telemetry::{Format, Page};
use tokio::runtime::Runtime;

use crate::served::{Reply, Served};
use crate::support::{Signer, bounds, options, published, runtime, until};

/// Times that a test can wait for.
fn quick() -> Bounds {
    Bounds {
        refresh: Duration::from_millis(50),
        max_age: Duration::from_secs(3),
        interval: Duration::from_millis(50),
        ..bounds()
    }
}

fn start(runtime: &Runtime, options: IssuerOptions, bounds: &Bounds) -> Issuers {
    let _within = runtime.enter();
    Issuers::start(vec![options], bounds).unwrap()
}

fn verify(runtime: &Runtime, issuers: &Issuers, token: &str) -> Result<(), Refusal> {
    runtime.block_on(issuers.verify(token)).map(drop)
}

#[test]
fn the_first_tokens_wait_for_the_first_keys() {
    let (runtime, signer) = (runtime(), Signer::new("k", "ES256"));
    let keys = Served::start(Reply::Keys(published(&[&signer])));
    let issuers = start(&runtime, options(keys.source()), &bounds());
    let tokens: Vec<String> = (0..20).map(|_| signer.good()).collect();
    runtime.block_on(async {
        let all = tokens.iter().map(|token| issuers.verify(token));
        for verified in futures(all).await {
            assert_eq!(verified.map(drop), Ok(()));
        }
    });
    assert_eq!(keys.asked(), 1);
}

/// All of them, at once.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    all.into_iter().map(|(_, done)| done.unwrap()).collect()
}

#[test]
fn new_keys_are_fetched_for_the_token_that_names_one_and_gone_ones_are_gone() {
    let runtime = runtime();
    let (first, second) = (Signer::new("first", "ES256"), Signer::new("second", "ES256"));
    let keys = Served::start(Reply::Keys(published(&[&first])));
    // Age never comes to it; only tokens ask, and may at once.
    let bounds = Bounds { interval: Duration::from_millis(1), ..bounds() };
    let issuers = start(&runtime, options(keys.source()), &bounds);
    let (old, new) = (first.good(), second.good());
    assert_eq!(verify(&runtime, &issuers, &old), Ok(()));
    keys.set(Reply::Keys(published(&[&first, &second])));
    until(&runtime, &issuers, &new, Ok(()), &[Err(Refusal::UnknownKey)]);
    assert_eq!(verify(&runtime, &issuers, &old), Ok(()));
    // The old token is remembered; its key goes away, and with it the memory.
    keys.set(Reply::Keys(published(&[&second])));
    let unknown = Signer::new("third", "ES256").good();
    let asked = keys.asked();
    while keys.asked() == asked {
        assert_eq!(verify(&runtime, &issuers, &unknown), Err(Refusal::UnknownKey));
    }
    until(&runtime, &issuers, &old, Err(Refusal::UnknownKey), &[Ok(())]);
    assert_eq!(verify(&runtime, &issuers, &new), Ok(()));
}

#[test]
fn a_flood_of_unknown_keys_is_one_fetch_an_interval() {
    let (runtime, signer) = (runtime(), Signer::new("k", "ES256"));
    let keys = Served::start(Reply::Keys(published(&[&signer])));
    let interval = Duration::from_millis(400);
    let issuers = start(&runtime, options(keys.source()), &Bounds { interval, ..bounds() });
    assert_eq!(verify(&runtime, &issuers, &signer.good()), Ok(()));
    let begun = Instant::now();
    let mut sent = 0;
    while keys.asked() < 4 {
        let header = format!(r#"{{"alg":"ES256","kid":"k{sent}"}}"#);
        let token = signer.sign_text(&header, &crate::support::claims().to_string());
        assert_eq!(verify(&runtime, &issuers, &token), Err(Refusal::UnknownKey));
        sent += 1;
    }
    // The first fetch was before the flood; three more are at least two whole intervals apart.
    assert!(begun.elapsed() >= interval * 2, "{:?}", begun.elapsed());
    assert!(sent > 100, "{sent} tokens are no flood");
}

#[test]
fn keys_are_used_while_their_source_is_down_but_not_for_ever() {
    let (runtime, signer) = (runtime(), Signer::new("k", "ES256"));
    let keys = Served::start(Reply::Keys(published(&[&signer])));
    let issuers = start(&runtime, options(keys.source()), &quick());
    let (seen, unseen) = (signer.good(), signer.good());
    assert_eq!(verify(&runtime, &issuers, &seen), Ok(()));
    keys.set(Reply::Gone);
    let asked = keys.asked();
    while keys.asked() < asked + 3 {
        assert_eq!(verify(&runtime, &issuers, &seen), Ok(()));
        assert_eq!(verify(&runtime, &issuers, &unseen), Ok(()));
    }
    let closed = Err(Refusal::KeysUnavailable);
    until(&runtime, &issuers, &seen, closed, &[Ok(())]);
    assert_eq!(verify(&runtime, &issuers, &signer.good()), closed);
    let text = Page::of(|page| issuers.report(page)).text(Format::Prometheus);
    assert!(text.contains("tidegate_issuer_keys{issuer=\"https://id.example\"} 0"), "{text}");
    keys.set(Reply::Keys(published(&[&signer])));
    until(&runtime, &issuers, &seen, Ok(()), &[closed]);
}

#[test]
fn an_issuer_may_take_all_its_keys_away() {
    let (runtime, signer) = (runtime(), Signer::new("k", "ES256"));
    let keys = Served::start(Reply::Keys(published(&[&signer])));
    let issuers = start(&runtime, options(keys.source()), &quick());
    let token = signer.good();
    assert_eq!(verify(&runtime, &issuers, &token), Ok(()));
    keys.set(Reply::Keys(published(&[])));
    until(&runtime, &issuers, &token, Err(Refusal::UnknownKey), &[Ok(())]);
}

#[test]
fn bad_answers_are_no_keys_and_nobody_is_followed_elsewhere() {
    let (runtime, signer) = (runtime(), Signer::new("k", "ES256"));
    let elsewhere = Served::start(Reply::Keys(published(&[&signer])));
    let mut large = published(&[&signer]);
    large.extend(std::iter::repeat_n(b' ', 64 << 10));
    let header = |name: &str, value: &str| format!("{name}: {value}");
    for reply in [
        Reply::Status(302, header("location", &elsewhere.url)),
        Reply::Status(307, header("location", &elsewhere.url)),
        Reply::Status(200, header("content-type", "application/json")),
        Reply::Status(404, header("x", "y")),
        Reply::Status(500, header("x", "y")),
        Reply::Keys(b"<html>sign in</html>".to_vec()),
        Reply::Keys(signer.public.to_string().into_bytes()),
        Reply::Keys(large),
        Reply::Silence,
        Reply::Gone,
    ] {
        let keys = Served::start(reply.clone());
        let bounds = Bounds { timeout: Duration::from_millis(300), ..quick() };
        let issuers = start(&runtime, options(keys.source()), &bounds);
        let found = verify(&runtime, &issuers, &signer.good());
        assert_eq!(found, Err(Refusal::KeysUnavailable), "{reply:?}");
        // It goes on trying, and what was bad leaves no trace.
        keys.set(Reply::Keys(published(&[&signer])));
        until(&runtime, &issuers, &signer.good(), Ok(()), &[Err(Refusal::KeysUnavailable)]);
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[test]
fn a_slow_source_holds_a_token_no_longer_than_it_may() {
    let (runtime, signer) = (runtime(), Signer::new("k", "ES256"));
    let keys = Served::start(Reply::Silence);
    let bounds = Bounds { wait: Duration::from_millis(100), ..bounds() };
    let issuers = start(&runtime, options(keys.source()), &bounds);
    let begun = Instant::now();
    let found = verify(&runtime, &issuers, &signer.good());
    assert_eq!(found, Err(Refusal::KeysUnavailable));
    // The fetch itself may take 20 s.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_file_is_read_again_when_it_has_changed() {
    let runtime = runtime();
    let (first, second) = (Signer::new("first", "ES256"), Signer::new("second", "ES256"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    std::fs::write(&path, published(&[&first])).unwrap();
    let issuers = start(&runtime, options(KeySource::File(path.clone())), &quick());
    let (old, new) = (first.good(), second.good());
    assert_eq!(verify(&runtime, &issuers, &old), Ok(()));
    std::fs::write(&path, published(&[&second])).unwrap();
    until(&runtime, &issuers, &new, Ok(()), &[Err(Refusal::UnknownKey)]);
    assert_eq!(verify(&runtime, &issuers, &old), Err(Refusal::UnknownKey));
    // What somebody has only begun to write is no key set.
    std::fs::write(&path, "{\"keys\":[").unwrap();
    assert_eq!(verify(&runtime, &issuers, &new), Ok(()));
    std::fs::remove_file(&path).unwrap();
    until(&runtime, &issuers, &new, Err(Refusal::KeysUnavailable), &[Ok(())]);
}

#[test]
fn two_issuers_of_one_name_are_refused() {
    let runtime = runtime();
    let _within = runtime.enter();
    let twice = vec![options(KeySource::File("a".into())), options(KeySource::File("b".into()))];
    let error = Issuers::start(twice, &bounds()).err().unwrap().to_string();
    assert_eq!(error, "the issuer `https://id.example` is there twice");
}
