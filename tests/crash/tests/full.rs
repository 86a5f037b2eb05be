//! A full disk: events are refused with 503 `storage-full`, nothing acknowledged is lost, and the
//! gateway goes on by itself when there is room again (B3).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a panic is its failure, and its output is read by people"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tidegate_crash::{Ledger, answers, load, log, readings, stored};
use tidegate_testkit::{Connection, Gateway, Response, Tenant};

const PATIENCE: Duration = Duration::from_secs(60);
/// What a failed publication says each time that it is tried.
const NO_ROOM: [&str; 3] = [
    "disk full, rows stay in the log",
    "no room to seal the log's last group",
    "no room for the keys of a segment",
];

/// A file system of its own with a limited size, unmounted at the end.
struct SmallDisk {
    folder: TempDir,
    path: PathBuf,
}

impl SmallDisk {
    /// `None` where this process may not mount, which is said.
    fn mount(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::create_dir(&path).unwrap();
        let size = format!("size={mebibytes}m");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "tidegate-test"]).arg(&path).output();
        if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
            println!("not tested: a file system cannot be mounted here: {mounted:?}");
            return None;
        }
        Some(Self { folder, path })
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }

    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.path).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Leaves so many bytes free, or fewer.
    fn fill(&self, leave: u64) {
        let mut file = File::options().append(true).create(true).open(self.filler()).unwrap();
        while self.free() > leave {
            let block = vec![1; usize::try_from((self.free() - leave).min(1 << 20)).unwrap()];
            if file.write_all(&block).is_err() {
                return;
            }
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.path).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()),
            "{} stays mounted",
            self.folder.path().display()
        );
    }
}

/// Posts batches of new events, with all that is told in the ledger.
struct Sender<'a> {
    tenant: &'a Tenant,
    ledger: &'a Ledger,
    sent: usize,
}

impl Sender<'_> {
    fn post(&mut self, gateway: &Gateway) -> Response {
        let keys: Vec<String> =
            (self.sent..self.sent + 100).map(|number| format!("full-{number}")).collect();
        self.sent += keys.len();
        self.ledger.send(&keys);
        let events: Vec<Value> = keys.iter().map(|key| readings::reading(key)).collect();
        let mut connection = Connection::open(&gateway.ingress).expect("the gateway listens");
        let response = self.tenant.post_batch_on(&mut connection, &events).expect("an answer");
        if let Some(receipts) = answers::receipts(&response, keys.len()) {
            for (key, receipt) in keys.iter().zip(&receipts) {
                assert!(self.ledger.hear(key, receipt), "{receipt:?}");
            }
        }
        response
    }

    /// Posts until the answer has this status.
    fn post_until(&mut self, gateway: &Gateway, status: u16) -> Response {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = self.post(gateway);
            if response.status == status {
                return response;
            }
            assert!(Instant::now() < deadline, "no {status}, but {}", response.text());
        }
    }
}

fn assert_storage_full(response: &Response) {
    let body = response.json();
    assert_eq!(response.status, 503, "{body}");
    assert_eq!(body["type"], "urn:tidegate:problem:storage-full", "{body}");
    assert!(response.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
    let receipts = body["receipts"].as_array().expect("each event has its receipt");
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt["status"] == "retry" || receipt["status"] == "rejected"),
        "{body}"
    );
}

fn assert_nothing_lost(mut gateway: Gateway, tenant: &Tenant, ledger: &Ledger, path: &Path) {
    load::settle(&gateway.ingress, tenant, ledger);
    load::replay(&gateway.ingress, tenant, ledger, &ledger.taken());
    assert!(gateway.terminate(), "{}", gateway.log());
    let stored = stored::read(path);
    ledger.check(&stored);
    assert_eq!(stored.len(), ledger.taken().len());
    stored::assert_no_orphans(path);
    log::assert_quiet(&gateway.log(), &NO_ROOM);
}

/// Below the low-water mark nothing is taken, and the reserve is enough to start again.
#[test]
fn below_the_low_water_mark() {
    let Some(disk) = SmallDisk::mount(96) else { return };
    let settings = [
        ("INGRESS__MAX_BODY_BYTES", "512KiB"),
        ("WAL__SEGMENT_BYTES", "1MiB"),
        ("WAL__GROUP_BYTES", "256KiB"),
        ("WAL__LOW_WATER_BYTES", "16MiB"),
        ("STORAGE__FLUSH_AFTER", "100ms"),
    ];
    let mut gateway = Gateway::start_in(&disk.path, &settings);
    let (tenant, ledger) = (readings::tenant(&gateway), Ledger::default());
    let mut sender = Sender { tenant: &tenant, ledger: &ledger, sent: 0 };
    assert_eq!(sender.post(&gateway).status, 202);
    disk.fill(12 << 20);
    assert_storage_full(&sender.post(&gateway));
    gateway.kill();
    gateway.restart();
    assert_storage_full(&sender.post(&gateway));
    disk.make_room();
    assert_eq!(sender.post(&gateway).status, 202);
    assert_nothing_lost(gateway, &tenant, &ledger, &disk.path);
}

/// Without a low-water mark the disk itself refuses: the log, and the files of stored events.
#[test]
fn not_a_byte_left() {
    let Some(disk) = SmallDisk::mount(64) else { return };
    let settings = [
        ("INGRESS__MAX_BODY_BYTES", "512KiB"),
        ("WAL__SEGMENT_BYTES", "1MiB"),
        ("WAL__GROUP_BYTES", "256KiB"),
        ("WAL__LOW_WATER_BYTES", "0"),
        ("STORAGE__FLUSH_AFTER", "100ms"),
    ];
    let gateway = Gateway::start_in(&disk.path, &settings);
    let (tenant, ledger) = (readings::tenant(&gateway), Ledger::default());
    let mut sender = Sender { tenant: &tenant, ledger: &ledger, sent: 0 };
    for _ in 0..3 {
        assert_eq!(sender.post(&gateway).status, 202);
        disk.fill(0);
        assert_storage_full(&sender.post_until(&gateway, 503));
        assert_eq!(gateway.request("GET", "/livez", &[], b"").status, 200, "the gateway stays");
        disk.make_room();
        sender.post_until(&gateway, 202);
        wait_until(&gateway, |status| status["storage"]["failing"].is_null());
    }
    assert_nothing_lost(gateway, &tenant, &ledger, &disk.path);
}

fn wait_until(gateway: &Gateway, fits: impl Fn(&Value) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = gateway.status();
        if fits(&status) {
            return;
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
